// A server of mppx that sells through Stripe, with Stripe's own client for Node.js, both unmodified.
//
//   GET /spt      a dollar, by shared payment token alone
//   GET /both     a dollar, by what `defaultMethods()` offers: a deposit on Tempo, or a token
//   GET /tempo    a dollar, on the chain at RPC_URL, recorded in Stripe
//
// Environment:
//   STRIPE_URL   where Stripe is (required)
//   STRIPE_KEY   the seller's secret key (required)
//   NETWORK_ID   the seller's business profile (required)
//   RPC_URL      the chain's JSON-RPC endpoint (required)
//   SECRET       the key that challenges are bound with, 32 characters or more (required)
//
// Prints {"port": n} in one line when it listens, and nothing else on stdout. Ends with SIGTERM.

import { createServer } from 'node:http'
import { Mppx, stripe } from 'mppx/server'
import Stripe from 'stripe'
import { createClient, http } from 'viem'
import { tempoModerato } from 'viem/chains'

const env = process.env
const { hostname, port } = new URL(env.STRIPE_URL)
const client = new Stripe(env.STRIPE_KEY, { host: hostname, port: Number(port), protocol: 'http' })
const payments = stripe.create({
  client,
  networkId: env.NETWORK_ID,
  livemode: false,
  depositAddresses: (network) => stripe.findOrCreateDepositAddress(client, network),
})
const settings = { realm: '127.0.0.1', secretKey: env.SECRET }
const onDevnet = payments.tempo.charge({
  recipient: await payments.findOrCreateDepositAddress('tempo'),
  getClient: () => createClient({ chain: tempoModerato, transport: http(env.RPC_URL) }),
})
const shops = {
  '/spt': Mppx.create({ methods: [payments.spt.charge()], ...settings }),
  '/both': Mppx.create({ methods: await payments.defaultMethods(), ...settings }),
  '/tempo': Mppx.create({ methods: [onDevnet], ...settings }),
}

async function answer(request, response) {
  const shop = shops[request.url]
  const result = await shop.charge({ amount: '1.00' })(
    new Request(`http://${request.headers.host}${request.url}`, { headers: request.headers }),
  )
  const sent = result.status === 402 ? result.challenge : result.withReceipt(Response.json({ paid: true }))
  response.writeHead(sent.status, Object.fromEntries(sent.headers))
  response.end(Buffer.from(await sent.arrayBuffer()))
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error)
    response.writeHead(500).end()
  })
})
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
process.on('SIGTERM', () => process.exit(0))
