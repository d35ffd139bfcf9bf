using '../main.bicep'

// A large sale: 2 x 1000 + 12 instances with one connection each are 2012 of 24000 usable clients.
// 1000 instances of 2 GB need a larger quota than a subscription has per region by default (250 of them).
param environmentName = 'bigdrop'
param location = 'swedencentral'
param redisTier = 'Balanced_B10'
param scaleOutLimit = 1000
param alwaysReadyHttp = 10
param alwaysReadyWorker = 2
param redisClustering = 'NoCluster'
param redisPersistence = 'rdb'
param deployerPrincipalId = '22222222-2222-2222-2222-222222222222'
param alertEmail = 'operator@example.com'
param telemetry = 'OpenTelemetry'
