-- Read some of a drop's orders. ARGV: HSCAN's cursor and its COUNT.
-- Returns {now, cursor, {order id, record, ...}}, or nothing for an unknown drop. Changes nothing.
if redis.call('EXISTS', META) == 0 then return {} end
local page = redis.call('HSCAN', ORDERS, ARGV[1], 'COUNT', ARGV[2])
return {now, page[1], page[2]}
