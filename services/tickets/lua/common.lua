-- What every script shares; order_store.py puts it in front of each. Times are milliseconds since 1970 by Redis's own
-- clock, amounts are tickets. One drop is three keys with one hash tag and one expiry.
local META, ORDERS, CUSTOMERS = KEYS[1], KEYS[2], KEYS[3]
local DAY = 24 * 60 * 60 * 1000
local KEPT_AFTER_CLOSE = 7 * DAY

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function read_drop()
  local f = redis.call('HMGET', META, 'stock', 'per_customer', 'closes_at', 'confirmed', 'refused')
  if not f[1] then return nil end
  return {stock = tonumber(f[1]), per_customer = tonumber(f[2]), closes_at = tonumber(f[3]),
          confirmed = tonumber(f[4]), refused = tonumber(f[5])}
end

local function read_order(order_id)
  local json = redis.call('HGET', ORDERS, order_id)
  return json and cjson.decode(json), json
end

local function same_order(order, customer_id, quantity)
  return order.customer_id == customer_id and order.quantity == quantity
end

-- A customer is {confirmed, holds = {[order id] = {quantity, held until}}}; a hold that has run out is dropped on sight.
local function read_customer(customer_id)
  local json = redis.call('HGET', CUSTOMERS, customer_id)
  local customer = json and cjson.decode(json) or {confirmed = 0, holds = {}}
  for order_id, hold in pairs(customer.holds) do
    if hold[2] <= now then customer.holds[order_id] = nil end
  end
  return customer
end

local function tickets_held(customer)
  local held = 0
  for _, hold in pairs(customer.holds) do held = held + hold[1] end
  return held
end

local function write_customer(customer_id, customer)
  if customer.confirmed == 0 and next(customer.holds) == nil then
    redis.call('HDEL', CUSTOMERS, customer_id)
  else
    redis.call('HSET', CUSTOMERS, customer_id, cjson.encode(customer))
  end
end

local function write_order(order_id, order)
  local json = cjson.encode(order)
  redis.call('HSET', ORDERS, order_id, json)
  return json
end

-- All three keys end together, so an order id is unique for the whole life of its drop.
local function set_expiry(closes_at)
  for _, key in ipairs(KEYS) do redis.call('PEXPIREAT', key, closes_at + KEPT_AFTER_CLOSE) end
end
