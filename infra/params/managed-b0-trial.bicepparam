using '../main.bicep'

// To try things out, at half the price: one node, so every patch is an outage, and nothing on disk.
// 2 x 40 instances with four connections each are 320 of 12000 usable clients.
param environmentName = 'trial'
param location = 'swedencentral'
param scaleOutLimit = 40
param redisConnectionsPerWorker = 4
param redisHighAvailability = false
param redisPersistence = 'none'
param instanceMemoryMB = 512
param pythonVersion = '3.13'
