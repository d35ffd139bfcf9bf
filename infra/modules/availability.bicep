metadata description = 'Asks the app from outside whether it is ready, and tells when it is gone: an import error shows as 404 only.'

import { recipient, strings } from 'types.bicep'

param location string
param tags strings
param nameSuffix string
param appUri string
param applicationInsightsId string

@description('Who is told.')
param told recipient[]

// West Europe, East US, Southeast Asia.
var places = ['emea-nl-ams-azr', 'us-va-ash-azr', 'apac-sg-sin-azr']

resource question 'Microsoft.Insights/webtests@2022-06-15' = {
  name: 'ready-${nameSuffix}'
  location: location
  tags: union(tags, { 'hidden-link:${applicationInsightsId}': 'Resource' }) // how it belongs to its Application Insights
  kind: 'standard'
  properties: {
    SyntheticMonitorId: 'ready-${nameSuffix}'
    Name: 'ready-${nameSuffix}'
    Kind: 'standard'
    Enabled: true
    Frequency: 900
    Timeout: 120 // a cold start takes its time
    RetryEnabled: true
    Locations: map(places, place => { Id: place })
    Request: {
      RequestUrl: '${appUri}/api/health/ready'
      HttpVerb: 'GET'
      FollowRedirects: false
      ParseDependentRequests: false
    }
    ValidationRules: {
      ExpectedHttpStatusCode: 200
      SSLCheck: true
      SSLCertRemainingLifetimeCheck: 7
    }
  }
}

resource alert 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'not-ready-${nameSuffix}'
  location: 'global'
  tags: tags
  properties: {
    description: 'Two of three places got no 200 from /api/health/ready: the app is gone, or a setting or a service fails it.'
    severity: 1
    enabled: true
    autoMitigate: true
    scopes: [
      question.id
      applicationInsightsId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: question.id
      componentId: applicationInsightsId
      failedLocationCount: 2
    }
    actions: told
  }
}
