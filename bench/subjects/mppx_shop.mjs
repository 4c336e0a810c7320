// mppx, as the benchmark sees it: the same shop as coinslot_shop.py, of its own parts, on node:http.
//
// node mppx_shop.mjs HOME serve | micro SECONDS
//
// HOME is the folder whose node_modules has mppx. There is no ledger: what it would remember is up to the method.

import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [home, command, seconds] = process.argv.slice(2)
const { resolve } = createRequire(`${home}/package.json`)
const { Challenge, Credential, Expires, Method, Receipt, z } = await import(pathToFileURL(resolve('mppx')))
const { Mppx } = await import(pathToFileURL(resolve('mppx/server')))

const secretKey = "the benchmark's secret, of 32 bytes or more"
const realm = 'shop.example'
const scope = 'GET /paid'
const terms = {
  amount: '10000',
  currency: '0x20c0000000000000000000000000000000000000',
  methodDetails: { chainId: 42431 },
  recipient: '0x742d35cc6634c0532925a3b844bc9e7595f8fe00',
}

// A payment method that takes every note.
const stub = Method.toServer(
  Method.from({
    name: 'stub',
    intent: 'charge',
    schema: {
      credential: { payload: z.object({ note: z.string() }) },
      request: z.object({
        amount: z.string(),
        currency: z.string(),
        methodDetails: z.object({ chainId: z.number() }),
        recipient: z.string(),
      }),
    },
  }),
  {
    async validate({ credential, request }) {
      return { challenge: credential.challenge, credential, details: null, intent: 'charge', method: 'stub', request }
    },
    async broadcast({ credential }) {
      return Receipt.from({
        method: 'stub',
        reference: credential.payload.note.slice(0, 32),
        status: 'success',
        timestamp: new Date().toISOString(),
      })
    },
  },
)

const mppx = Mppx.create({ methods: [stub], realm, secretKey })
const charge = mppx.charge({ ...terms, scope })

// One free route and one paid one, on a free port of the loopback, which is printed, until standard input ends.
function serve() {
  const answer = JSON.stringify({ data: 'worth it' })
  const paid = Mppx.toNodeListener(charge)
  const server = createServer(async (request, response) => {
    if (request.url === '/paid' && (await paid(request, response)).status === 402) return
    response.setHeader('content-type', 'application/json')
    response.end(answer)
  })
  server.listen(0, '127.0.0.1', () => console.log(server.address().port))
  process.stdin.on('end', () => process.exit()).resume()
}

// Each operation's calls per second, the best of many short batches; see stopwatch.py.
async function rate(operation) {
  const batch = async (times) => {
    const start = performance.now()
    for (let i = 0; i < times; i++) await operation()
    return performance.now() - start
  }
  let times = 1
  while ((await batch(times)) < 5) times *= 2
  let took = Infinity
  const end = performance.now() + seconds * 1000
  do took = Math.min(took, await batch(times))
  while (performance.now() < end)
  return (times / took) * 1000
}

async function micro() {
  const unpaid = new Request('http://127.0.0.1/paid')
  const headers = []
  const challenges = []
  const credentials = []
  for (let i = 0; i < 100; i++) {
    const header = (await charge(unpaid)).challenge.headers.get('www-authenticate')
    const challenge = Challenge.deserialize(header)
    const note = Buffer.from(crypto.getRandomValues(new Uint8Array(280))).toString('hex')
    headers.push(header)
    challenges.push(challenge)
    credentials.push(Credential.serialize(Credential.from({ challenge, payload: { note } })))
  }
  let turn = 0
  const next = (values) => values[turn++ % values.length]
  const operations = {
    issue: () =>
      Challenge.from({
        secretKey,
        realm,
        method: 'stub',
        intent: 'charge',
        request: terms,
        expires: Expires.minutes(60),
        meta: { scope },
      }),
    render: () => Challenge.serialize(next(challenges)),
    parse: () => Challenge.deserialize(next(headers)),
    verify: () => mppx.validateCredential(next(credentials), { request: terms, scope }),
    402: () => charge(unpaid),
  }
  const rates = {}
  for (const [name, operation] of Object.entries(operations)) rates[name] = await rate(operation)
  console.log(JSON.stringify(rates))
}

if (command === 'serve') serve()
else await micro()
