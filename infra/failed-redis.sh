#!/bin/sh
# A Redis whose creation failed is still there, and the next deployment over it conflicts. azd runs this before it
# provisions: it names the command that removes a failed Redis, and stops. Removes nothing itself.
set -eu

# Nothing to look at: no az, or nothing deployed yet.
command -v az >/dev/null 2>&1 || exit 0
[ -n "${AZURE_SUBSCRIPTION_ID:-}" ] && [ -n "${AZURE_ENV_NAME:-}" ] || exit 0

failed=$(
  az resource list --subscription "$AZURE_SUBSCRIPTION_ID" --resource-group "rg-$AZURE_ENV_NAME" \
    --query "[?starts_with(type, 'Microsoft.Cache/') && provisioningState=='Failed'].id" --output tsv
) || {
  echo "Could not ask whether an earlier Redis failed (az login?). Going on." >&2
  exit 0
}
[ -n "$failed" ] || exit 0

echo "The creation of this Redis failed. It blocks every further deployment; whatever it held is lost. Remove it, then repeat:" >&2
for id in $failed; do echo "  az resource delete --ids $id" >&2; done
echo "If it fails again: another region for Redis (azd env set REDIS_LOCATION ...), or a trial without a replica: docs/deploy.md." >&2
exit 1
