metadata description = 'The function app on Flex Consumption. Its scale-out limit comes from main.bicep, which has checked it.'

import { appIdentity, strings } from 'types.bicep'

param location string
param tags strings
param name string
param planName string
param identity appIdentity
param storageAccountName string
param packageContainerUri string
param applicationInsightsName string
param pythonVersion '3.11' | '3.12' | '3.13' | '3.14'
param instanceMemoryMB 512 | 2048 | 4096
param appSettings strings

@minValue(1)
@maxValue(1000)
param scaleOutLimit int

@minValue(1)
@maxValue(1000)
param httpConcurrency int

param alwaysReadyHttp int
param alwaysReadyWorker int

@description('The Service Bus function: its group of always-ready instances is named after it.')
param workerFunctionName string

@description('Spreads the instances over zones; the platform then keeps two of each group.')
param zoneRedundant bool

@description('The subnet that the app reaches private endpoints from. Empty: no network.')
param subnetId string

var alwaysReady = concat(
  alwaysReadyHttp == 0 ? [] : [{ name: 'http', instanceCount: alwaysReadyHttp }],
  alwaysReadyWorker == 0 ? [] : [{ name: 'function:${workerFunctionName}', instanceCount: alwaysReadyWorker }]
)

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true // Linux
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'api' }) // the service of azure.yaml
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.resourceId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      http20Enabled: true
      ftpsState: 'Disabled'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUri
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.resourceId
          }
        }
      }
      runtime: {
        name: 'python'
        version: pythonVersion
      }
      scaleAndConcurrency: {
        maximumInstanceCount: scaleOutLimit
        instanceMemoryMB: instanceMemoryMB
        alwaysReady: alwaysReady
        triggers: {
          http: {
            perInstanceConcurrency: httpConcurrency
          }
        }
      }
    }
  }

  // All the settings there are: a deployment removes any other. Flex refuses FUNCTIONS_WORKER_RUNTIME and its like.
  resource settings 'config' = {
    name: 'appsettings'
    properties: union(appSettings, {
      AzureWebJobsStorage__accountName: storageAccountName
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identity.clientId
      AzureWebJobsDisableHomepage: 'true' // GET / would be a public page with scripts from elsewhere
      APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsights.properties.ConnectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.clientId};Authorization=AAD'
    })
  }

  resource ftpPassword 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: {
      allow: false
    }
  }

  resource scmPassword 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: {
      allow: false
    }
  }
}

output name string = app.name
output uri string = 'https://${app.properties.defaultHostName}'
