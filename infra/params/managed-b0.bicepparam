using '../main.bicep'

// The default: 2 x 100 instances with one connection each are 200 of 12000 usable clients.
param environmentName = 'drop'
param location = 'swedencentral'
