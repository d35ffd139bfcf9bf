using '../main.bicep'

// Redis and storage in a private network, the bus as it is; Redis in a region that has room; instances in several zones.
// 2 x 100 + 4 kept ready with one connection each are 204 of 12000 usable clients.
param environmentName = 'privatedrop'
param location = 'swedencentral'
param redisLocation = 'northeurope'
param privateNetwork = 'redisAndStorage'
param zoneRedundant = true
param resourceLogs = true
param availabilityTest = false
