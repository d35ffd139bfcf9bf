using '../main.bicep'

// The smallest tier at its limit: 2 x 102 instances with one connection each are all 204 usable clients.
param environmentName = 'olddrop'
param location = 'swedencentral'
param redisTier = 'Basic_C0'
param scaleOutLimit = 102
