metadata description = 'Alerts at the limits that the design relies on; docs/operations.md says what to do about each.'

import { strings, recipient } from 'types.bicep'

param location string
param tags strings
param nameSuffix string

@description('Who is told. Empty: the rules fire, and only the portal shows it.')
param email string

param redisResourceId string
param managedRedis bool

@description('The clients that the budget allows: the tier\'s limit less the headroom.')
@minValue(1)
param usableClients int

@description('The clients that the app opens at full scale-out.')
@minValue(1)
param expectedClients int

param serviceBusNamespaceId string
param queueName string

@minValue(1)
param backlogLimit int

param applicationInsightsId string

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: 'ag-${nameSuffix}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'ticketdrop'
    enabled: true
    emailReceivers: [
      {
        name: 'operator'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

var actionGroupIds = empty(email) ? [] : [actionGroup.id]
var told = map(actionGroupIds, id => { actionGroupId: id })
var redisMetricNamespace = managedRedis ? 'Microsoft.Cache/redisEnterprise' : 'Microsoft.Cache/redis'
var thisQueue = [
  {
    name: 'EntityName'
    operator: 'Include'
    values: [
      queueName
    ]
  }
]

// Azure Managed Redis publishes its metrics every five minutes: no frequency and no window may be shorter.
var metricRules = [
  {
    name: 'redis-clients'
    description: 'More Redis clients than the connection budget allows.'
    severity: 1
    scope: redisResourceId
    namespace: redisMetricNamespace
    metric: 'connectedclients'
    aggregation: 'Maximum'
    threshold: usableClients
    frequency: 'PT5M'
    window: 'PT5M'
    dimensions: []
  }
  {
    name: 'redis-clients-unexpected'
    description: 'More Redis clients than the app opens at full scale-out: somebody else, a leak, or old instances beside new ones.'
    severity: 2
    scope: redisResourceId
    namespace: redisMetricNamespace
    metric: 'connectedclients'
    aggregation: 'Maximum'
    threshold: expectedClients
    frequency: 'PT5M'
    window: 'PT5M'
    dimensions: []
  }
  {
    name: 'redis-load'
    description: 'Redis load over 80 %: above it, latency and unplanned failovers (azure/redis/best-practices-server-load).'
    severity: 2
    scope: redisResourceId
    namespace: redisMetricNamespace
    metric: managedRedis ? 'percentProcessorTime' : 'serverLoad' // the latter can be wrong on a managed Redis
    aggregation: 'Average'
    threshold: 80
    frequency: 'PT5M'
    window: 'PT15M'
    dimensions: []
  }
  {
    name: 'redis-memory'
    description: 'Redis memory over 80 %: nothing is evicted, so writes fail when it is full.'
    severity: 1
    scope: redisResourceId
    namespace: redisMetricNamespace
    metric: 'usedmemorypercentage'
    aggregation: 'Maximum'
    threshold: 80
    frequency: 'PT5M'
    window: 'PT5M'
    dimensions: []
  }
  {
    name: 'dead-letters'
    description: 'Messages in the dead-letter queue: orders that nobody has decided.'
    severity: 1
    scope: serviceBusNamespaceId
    namespace: 'Microsoft.ServiceBus/namespaces'
    metric: 'DeadletteredMessages'
    aggregation: 'Maximum'
    threshold: 0
    frequency: 'PT5M'
    window: 'PT5M'
    dimensions: thisQueue
  }
  {
    name: 'backlog'
    description: 'Orders wait on the queue longer than a spike lasts.'
    severity: 2
    scope: serviceBusNamespaceId
    namespace: 'Microsoft.ServiceBus/namespaces'
    metric: 'ActiveMessages'
    aggregation: 'Average'
    threshold: backlogLimit
    frequency: 'PT5M'
    window: 'PT15M'
    dimensions: thisQueue
  }
]

resource metricAlerts 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for rule in metricRules: {
    name: '${rule.name}-${nameSuffix}'
    location: 'global'
    tags: tags
    properties: {
      description: rule.description
      severity: rule.severity
      enabled: true
      autoMitigate: true
      scopes: [
        rule.scope
      ]
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: rule.name
            metricNamespace: rule.namespace
            metricName: rule.metric
            dimensions: rule.dimensions
            timeAggregation: rule.aggregation
            operator: 'GreaterThan'
            threshold: rule.threshold
          }
        ]
      }
      actions: told
    }
  }
]

var rateRules = [
  {
    name: 'answers-5xx'
    description: 'Over 1 % of the HTTP answers are 5xx other than 503: no valid input causes this; it is a bug.'
    severity: 1
    query: loadTextContent('../queries/answers-5xx.kql')
    percent: 1
  }
  {
    name: 'answers-503'
    description: 'Over 5 % of the HTTP answers are 503: Redis or Service Bus is out of reach, or refuses.'
    severity: 2
    query: loadTextContent('../queries/answers-503.kql')
    percent: 5
  }
]

resource rateAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rateRules: {
    name: '${rule.name}-${nameSuffix}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.name
      description: rule.description
      severity: rule.severity
      enabled: true
      autoMitigate: true
      skipQueryValidation: true // a new Application Insights has no table of requests yet
      scopes: [
        applicationInsightsId
      ]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT5M'
      criteria: {
        allOf: [
          {
            query: rule.query
            metricMeasureColumn: 'percent'
            timeAggregation: 'Maximum'
            operator: 'GreaterThan'
            threshold: rule.percent
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: actionGroupIds
      }
    }
  }
]

// For who else has something to tell.
output told recipient[] = told
