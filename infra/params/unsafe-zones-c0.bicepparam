using '../main.bicep'

// Refused, on purpose: 2 x 101 + 4 that a zone-redundant plan keeps ready are 206 of 204 usable clients.
param environmentName = 'olddrop'
param location = 'swedencentral'
param redisTier = 'Basic_C0'
param scaleOutLimit = 101
param zoneRedundant = true
