-- Create a drop or restock it. ARGV: stock, per customer, closes at ('' = left out).
-- Returns {'created' | 'restocked', stock, per customer, closes at, confirmed, refused}, {'too_far'} or {'below_confirmed'}.
local OPEN_BY_DEFAULT, OPEN_AT_MOST = 7 * DAY, 90 * DAY
local stock, closes_at = tonumber(ARGV[1]), tonumber(ARGV[3])
local drop = read_drop()

if not closes_at then
  closes_at = drop and drop.closes_at or now + OPEN_BY_DEFAULT
elseif closes_at > now + OPEN_AT_MOST then
  return {'too_far'}
else
  closes_at = math.max(closes_at, now)
end
local confirmed, refused = drop and drop.confirmed or 0, drop and drop.refused or 0
if stock < confirmed then return {'below_confirmed'} end

redis.call('HSET', META, 'stock', stock, 'per_customer', ARGV[2], 'closes_at', closes_at,
           'confirmed', confirmed, 'refused', refused)
set_expiry(closes_at)
return {drop and 'restocked' or 'created', stock, tonumber(ARGV[2]), closes_at, confirmed, refused}
