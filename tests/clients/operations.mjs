// The operations of operations.py with @azure/service-bus, and what only JavaScript's client can ask for.
//   node operations.mjs CONNECTION_STRING QUEUE
// Prints a JSON line per operation, {"operation": ..., "error": null or text}.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import path from 'node:path'

const { ServiceBusClient } = createRequire(path.join(process.cwd(), 'package.json'))('@azure/service-bus')
const [connectionString, queue] = process.argv.slice(2)
const client = new ServiceBusClient(connectionString, { retryOptions: { maxRetries: 0 } })
const sender = client.createSender(queue)
const receiver = client.createReceiver(queue)
const dead = client.createReceiver(queue, { subQueueType: 'deadLetter' })
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

const one = async (from = receiver) => {
  const [got] = await from.receiveMessages(1, { maxWaitTimeInMs: 5000 })
  assert(got, 'no message came')
  return got
}
const complete = async (body) => {
  const got = await one()
  assert.equal(got.body, body)
  await receiver.completeMessage(got)
  return got
}
const none = async () => assert.equal((await receiver.receiveMessages(1, { maxWaitTimeInMs: 200 })).length, 0)
const send = (...bodies) => sender.sendMessages(bodies.map((body) => ({ body })))

const operations = {
  async send_and_complete() {
    await send('a')
    const got = await complete('a')
    assert.deepEqual([got.deliveryCount, Number(got.enqueuedSequenceNumber)], [0, 0])
    await none()
  },
  async every_property_arrives() {
    const named = { messageId: 'm', contentType: 'c', correlationId: 'k', subject: 's', to: 't', replyTo: 'r', partitionKey: 'p' }
    const applicationProperties = { n: 5, text: 'x', f: 1.5, b: true }
    await sender.sendMessages({ body: 'a', applicationProperties, ...named })
    const got = await complete('a')
    for (const [name, value] of Object.entries(named)) assert.equal(got[name], value)
    assert.deepEqual({ ...got.applicationProperties }, applicationProperties)
  },
  async a_list_and_a_batch() {
    const numbers = [...Array(20).keys()].map(String)
    await send(...numbers.slice(0, 10))
    const batch = await sender.createMessageBatch()
    for (const body of numbers.slice(10)) batch.tryAddMessage({ body })
    await sender.sendMessages(batch)
    for (const number of numbers) await complete(number)
  },
  async a_body_of_many_frames() {
    await send('x'.repeat(200_000))
    await complete('x'.repeat(200_000))
  },
  async too_large_is_refused() {
    await assert.rejects(send('x'.repeat(300_000)), { code: 'MessageSizeExceeded' })
  },
  async receive_and_delete() {
    await send('a')
    const deleting = client.createReceiver(queue, { receiveMode: 'receiveAndDelete' })
    assert.equal((await one(deleting)).body, 'a')
    await deleting.close()
  },
  async abandon() {
    await send('a')
    await receiver.abandonMessage(await one(), { why: 'busy' })
    const got = await complete('a')
    assert.deepEqual([got.deliveryCount, got.applicationProperties.why], [1, 'busy'])
  },
  async dead_letter() {
    await send('a')
    const got = await one()
    await receiver.deadLetterMessage(got, { deadLetterReason: 'Bad', deadLetterErrorDescription: 'no drop', why: 'x' })
    const letter = await one(dead)
    assert.deepEqual([letter.deadLetterReason, letter.deadLetterErrorDescription], ['Bad', 'no drop'])
    assert.equal(letter.applicationProperties.why, 'x')
    assert.equal(String(letter.enqueuedSequenceNumber), String(got.sequenceNumber))
    await dead.completeMessage(letter)
  },
  async defer() {
    await send('a', 'b')
    const numbers = []
    for (let i = 0; i < 2; i++) {
      const got = await one()
      numbers.push(got.sequenceNumber)
      await receiver.deferMessage(got, { why: 'later' })
    }
    const [first, second] = await receiver.receiveDeferredMessages(numbers)
    assert.equal(first.applicationProperties.why, 'later')
    await receiver.renewMessageLock(first)
    await receiver.completeMessage(first)
    await receiver.abandonMessage(second, { why: 'again' })
    const [again] = await receiver.receiveDeferredMessages([numbers[1]])
    assert.equal(again.applicationProperties.why, 'again')
    await receiver.deadLetterMessage(again, { deadLetterReason: 'Bad', why: 'last' })
    const letter = await one(dead)
    assert.deepEqual([letter.deadLetterReason, letter.applicationProperties.why], ['Bad', 'last'])
    await dead.completeMessage(letter)
  },
  async peek() {
    await send('a', 'b')
    const peeked = await receiver.peekMessages(10)
    assert.deepEqual(peeked.map((got) => got.body), ['a', 'b'])
    const fromSequenceNumber = peeked[0].sequenceNumber
    const [bare] = await receiver.peekMessages(1, { fromSequenceNumber, omitMessageBody: true })
    assert.equal(String(bare.body), '')
    for (const body of ['a', 'b']) await complete(body)
  },
  async schedule_and_cancel() {
    const due = new Date(Date.now() + 2000)
    await sender.sendMessages({ body: 'by property', scheduledEnqueueTimeUtc: due })
    const numbers = await sender.scheduleMessages([{ body: 'cancelled' }, { body: 'kept' }], due)
    await sender.cancelScheduledMessages(numbers[0])
    for (const body of ['by property', 'kept']) await complete(body)
    await none()
  },
  async renew_a_lock() {
    await send('a')
    const got = await one()
    const before = got.lockedUntilUtc
    await sleep(100)
    assert((await receiver.renewMessageLock(got)) > before)
    await receiver.completeMessage(got)
  },
  async renew_locks_automatically() {
    await send('a')
    const deliveries = []
    const subscribed = client.createReceiver(queue)
    await new Promise((resolve, reject) =>
      subscribed.subscribe({
        processMessage: async (got) => {
          deliveries.push(got.deliveryCount)
          await sleep(6000)
          resolve()
        },
        processError: async ({ error }) => reject(error),
      }),
    )
    await subscribed.close()
    assert.deepEqual(deliveries, [0])
    await none()
  },
  async time_to_live() {
    await sender.sendMessages({ body: 'a', timeToLive: 1000 })
    await sleep(1200)
    await none()
    for (const timeToLive of [60_123, undefined]) {
      await sender.sendMessages({ body: 'b', timeToLive })
      const got = await complete('b')
      assert.equal(got.timeToLive, timeToLive ?? 3_600_000)
      assert.equal(got.expiresAtUtc - got.enqueuedTimeUtc, timeToLive ?? 3_600_000)
    }
  },
  async duplicates() {
    for (const body of ['a', 'b']) await sender.sendMessages({ body, messageId: 'same' })
    await complete('a')
    await none()
  },
  async a_session_is_refused() {
    await assert.rejects(client.acceptSession(queue, 's1'), { name: 'ServiceBusError' }) // whatever the reason, it says "locked"
  },
  async an_unknown_queue_is_refused() {
    await assert.rejects(client.createSender('nowhere').sendMessages({ body: 'a' }), { code: 'MessagingEntityNotFound' })
  },
}

for (const [operation, run] of Object.entries(operations)) {
  const error = await run().then(() => null, (wrong) => String(wrong.message ?? wrong).slice(0, 300))
  console.log(JSON.stringify({ operation, error }))
  if (error) for (const from of [receiver, dead]) for (const got of await from.receiveMessages(100, { maxWaitTimeInMs: 200 })) await from.completeMessage(got)
}
await client.close()
