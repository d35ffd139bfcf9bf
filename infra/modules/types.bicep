metadata description = 'The types that the modules share. Must never hold a number of the budget: those are in services/redis_tiers.json.'

@export()
@description('Every row of services/redis_tiers.json, and nothing else (a test compares them).')
type tierName =
  | 'Basic_C0'
  | 'Basic_C1'
  | 'Basic_C2'
  | 'Basic_C3'
  | 'Basic_C4'
  | 'Basic_C5'
  | 'Basic_C6'
  | 'Standard_C0'
  | 'Standard_C1'
  | 'Standard_C2'
  | 'Standard_C3'
  | 'Standard_C4'
  | 'Standard_C5'
  | 'Standard_C6'
  | 'Premium_P1'
  | 'Premium_P2'
  | 'Premium_P3'
  | 'Premium_P4'
  | 'Premium_P5'
  | 'Balanced_B0'
  | 'Balanced_B1'
  | 'Balanced_B3'
  | 'Balanced_B5'
  | 'Balanced_B10'
  | 'Balanced_B20'
  | 'Balanced_B50'
  | 'Balanced_B100'
  | 'MemoryOptimized_M10'
  | 'MemoryOptimized_M20'
  | 'ComputeOptimized_X3'
  | 'ComputeOptimized_X5'
  | 'ComputeOptimized_X10'

@export()
@description('EnterpriseCluster and NoCluster are one endpoint each; OSSCluster is one for each primary, and the budget counts them.')
type clusteringPolicy = 'EnterpriseCluster' | 'NoCluster' | 'OSSCluster'

@export()
@description('aof: written once a second; rdb: once an hour; none: a lost node pair loses the data.')
type persistenceKind = 'aof' | 'rdb' | 'none'

@export()
@description('off: every endpoint is public, behind identities; redisAndStorage: both from the network only; all: Service Bus too.')
type privateNetworkKind = 'off' | 'redisAndStorage' | 'all'

@export()
@description('The inputs of the connection budget, as in services/connection_budget.py.')
type connectionBudget = {
  tier: string
  scaleOutLimit: int
  scaleGroups: int
  alwaysReady: int
  workerProcesses: int
  connectionsPerWorker: int
  headroomPercent: int
  primaries: int
}

@export()
@description('Someone besides the app who may enqueue and replay. An empty id is nobody.')
type person = {
  principalId: string
  principalType: 'User' | 'Group' | 'ServicePrincipal'
}

@export()
@description('The identity that the app runs as.')
type appIdentity = {
  resourceId: string
  principalId: string
  clientId: string
}

@export()
@description('Who is told by a metric alert.')
type recipient = {
  actionGroupId: string
}

@export()
@description('App settings and tags are strings in Azure; the compiler refuses anything else.')
type strings = {
  *: string
}
