using '../main.bicep'

// Refused, on purpose: 2 x 100 instances with two connections each are 400 of 204 usable clients.
param environmentName = 'olddrop'
param location = 'swedencentral'
param redisTier = 'Basic_C0'
param scaleOutLimit = 100
param redisConnectionsPerWorker = 2
