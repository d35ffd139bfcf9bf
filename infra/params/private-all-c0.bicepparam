using '../main.bicep'

// Everything behind the app in a private network, which makes the bus Premium, on a classic Redis.
// 2 x 100 instances with one connection each are 200 of 204 usable clients.
param environmentName = 'olddrop'
param location = 'swedencentral'
param redisTier = 'Basic_C0'
param privateNetwork = 'all'
param resourceLogs = true
