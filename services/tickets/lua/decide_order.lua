-- Decide an order against the stock, once. ARGV: order id, customer id, quantity.
-- Returns {'decided', record} or {'other_order' | 'no_drop'}. Safe to repeat: a decided order never changes.
local order_id, customer_id, quantity = ARGV[1], ARGV[2], tonumber(ARGV[3])

local order, json = read_order(order_id)
if order and not same_order(order, customer_id, quantity) then return {'other_order'} end
if order and order.status ~= 'queued' then return {'decided', json} end
local drop = read_drop()
if not drop then return {'no_drop'} end
order = order or {customer_id = customer_id, quantity = quantity, placed_at = now} -- put on the queue by hand

local customer = read_customer(customer_id)
customer.holds[order_id] = nil
if customer.confirmed + quantity > drop.per_customer then
  order.status, order.reason = 'refused', 'customer_limit'
elseif drop.confirmed + quantity > drop.stock then
  order.status, order.reason = 'refused', 'sold_out'
else
  order.status = 'confirmed'
  customer.confirmed = customer.confirmed + quantity
end
order.decided_at = now

redis.call('HINCRBY', META, order.status, quantity)
write_customer(customer_id, customer)
json = write_order(order_id, order)
set_expiry(drop.closes_at)
return {'decided', json}
