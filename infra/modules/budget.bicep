metadata description = 'The connection budget: the formula and the words of services/connection_budget.py. Pure functions, no resource.'

import { connectionBudget } from 'types.bicep'

var table = loadJsonContent('../../services/redis_tiers.json')

@export()
@description('Groups of functions that scale on their own on Flex Consumption: all HTTP functions together, and fulfil_order.')
var flexScaleGroups = 2

@export()
@description('Whether the tier belongs to Azure Managed Redis (managed) or to Azure Cache for Redis (classic).')
func offerOf(tier string) string => table.tiers[tier].source

@export()
@description('Clients that the tier accepts.')
func tierLimit(tier string) int => table.tiers[tier].clients

@export()
@description('Primaries that a process connects to: those of the tier in an OSS cluster. The classic tiers of this template are none.')
func primariesOf(tier string, clustering string) int =>
  clustering == 'OSSCluster' ? table.tiers[tier].?primaries ?? 1 : 1

@export()
@description('Clients of the tier after the headroom.')
func usableClients(budget connectionBudget) int => (tierLimit(budget.tier) * (100 - budget.headroomPercent)) / 100

@export()
@description('Instances when every scale group is at its limit.')
func instances(budget connectionBudget) int => budget.scaleGroups * budget.scaleOutLimit + budget.alwaysReady

@export()
@description('Always-ready instances of both groups: a zone-redundant plan keeps two of each, whatever is asked for.')
func keptReady(http int, worker int, zoneRedundant bool) int =>
  max(http, zoneRedundant ? 2 : 0) + max(worker, zoneRedundant ? 2 : 0)

@export()
@description('Redis clients that all of them open.')
func clients(budget connectionBudget) int => instances(budget) * clientsPerInstance(budget)

@export()
@description('The largest scale-out limit that the tier carries; 0 if none does.')
func largestSafeLimit(budget connectionBudget) int =>
  max(0, (usableClients(budget) / clientsPerInstance(budget) - budget.alwaysReady) / budget.scaleGroups)

@export()
@description('Why the tier cannot carry full scale-out, with the numbers and the largest safe limit; empty if it can.')
func refusalOf(budget connectionBudget) string =>
  clients(budget) <= usableClients(budget)
    ? ''
    : 'Redis connection budget exceeded: ${budget.tier} allows ${tierLimit(budget.tier)} clients, ${usableClients(budget)} with ${budget.headroomPercent} % headroom; ${budget.scaleGroups} scale group(s) x ${budget.scaleOutLimit} + ${budget.alwaysReady} always ready = ${instances(budget)} instances, x ${budget.workerProcesses} worker process(es) x ${connectionsOf(budget)} connection(s) = ${clients(budget)} clients. ${advice(budget)}'

func clientsPerInstance(budget connectionBudget) int => budget.workerProcesses * connectionsOf(budget)

func connectionsOf(budget connectionBudget) int => budget.primaries + budget.connectionsPerWorker - 1

func advice(budget connectionBudget) string =>
  largestSafeLimit(budget) >= 1
    ? 'Set the scale-out limit to ${largestSafeLimit(budget)} or less, or choose a larger tier.'
    : 'No scale-out limit fits: choose a larger tier, or fewer connections per worker.'
