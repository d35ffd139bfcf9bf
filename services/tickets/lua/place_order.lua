-- Record an order as queued and hold its customer's quota. ARGV: order id, customer id, quantity, hold in milliseconds.
-- Returns {'placed' | 'known', record, its age in milliseconds} or {'other_order' | 'no_drop' | 'closed' | 'customer_limit' | 'sold_out'}.
-- Safe to repeat: the second time the order is known, and nothing changes.
local order_id, customer_id, quantity, hold = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local order, json = read_order(order_id)
if order then
  if not same_order(order, customer_id, quantity) then return {'other_order'} end
  return {'known', json, now - order.placed_at}
end
local drop = read_drop()
if not drop then return {'no_drop'} end
if now >= drop.closes_at then return {'closed'} end
local customer = read_customer(customer_id)
if customer.confirmed + tickets_held(customer) + quantity > drop.per_customer then return {'customer_limit'} end
if drop.stock - drop.confirmed < quantity then return {'sold_out'} end

customer.holds[order_id] = {quantity, now + hold}
write_customer(customer_id, customer)
json = write_order(order_id, {customer_id = customer_id, quantity = quantity, status = 'queued', placed_at = now})
set_expiry(drop.closes_at)
return {'placed', json, 0}
