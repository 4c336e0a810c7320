// A server of mppx, the TypeScript implementation, unmodified.
//
//   GET /paid, POST /paid    sell {"paid": true, "method": …, "body": …}, the last being what was posted
//
// Environment:
//   SECRET          the key that challenges are bound with, 32 characters or more (required)
//   PORT            default 0: any; HOST is 127.0.0.1
//
// Environment, or the query of /paid, in lower case: what it is sold for. One process serves any number of queries,
// each as a shop of its own.
//   RPC_URL         the chain's JSON-RPC endpoint (required)
//   RECIPIENT       the address that is paid (required)
//   AMOUNT          decimal string, default "0.01"; "0" asks for a proof
//   CURRENCY        token address, default pathUSD
//   CHAIN_ID        42431 (default) or 4217
//   REALM           default "127.0.0.1"
//   FEE_PAYER_KEY   private key of an account that pays the fees (default: the payer does)
//   FEE_PAYER_URL   a service that pays the fees (default: none)
//   MODES           comma-separated subset of "push,pull" to offer (default: both, unsaid)
//   SPLITS          JSON array of {"amount", "recipient", "memo"?}, amounts in decimal strings (default: none)
//   EXTERNAL_ID     the seller's own reference (default: none)
//   RELAY_URL       a relay that checks and broadcasts for the server (default: it does that itself), and
//   RELAY_KEY       the API key for that
//   EXPIRES_IN      for how many seconds a challenge can be paid (default: mppx's, five minutes)
//
// Prints {"port": n} in one line when it listens, and nothing else on stdout. Ends with SIGTERM. What goes wrong is
// answered with 500 and the reason.

import { createServer } from 'node:http'
import { Mppx, tempo } from 'mppx/server'
import { createClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { tempo as mainnet, tempoModerato as testnet } from 'viem/chains'

const env = process.env
const shops = new Map()

function openShop(query) {
  const told = new URLSearchParams(query)
  const setting = (name) => told.get(name.toLowerCase()) ?? env[name]
  const chain = [mainnet, testnet].find(({ id }) => id === Number(setting('CHAIN_ID') ?? 42431))
  const feePayerKey = setting('FEE_PAYER_KEY')
  const mppx = Mppx.create({
    methods: [
      tempo.charge({
        currency: setting('CURRENCY') ?? '0x20c0000000000000000000000000000000000000',
        recipient: setting('RECIPIENT'),
        getClient: () => createClient({ chain, transport: http(setting('RPC_URL')) }),
        ...(feePayerKey && { feePayer: privateKeyToAccount(feePayerKey) }),
        ...(setting('FEE_PAYER_URL') && { feePayer: setting('FEE_PAYER_URL') }),
        ...(setting('RELAY_URL') && { relay: { apiBaseUrl: setting('RELAY_URL'), apiKey: setting('RELAY_KEY') } }),
        ...(setting('MODES') && { supportedModes: setting('MODES').split(',') }),
      }),
    ],
    realm: setting('REALM') ?? '127.0.0.1',
    secretKey: env.SECRET,
  })
  return (request) =>
    mppx.charge({
      amount: setting('AMOUNT') ?? '0.01',
      chainId: chain.id,
      ...(setting('SPLITS') && { splits: JSON.parse(setting('SPLITS')) }),
      ...(setting('EXTERNAL_ID') && { externalId: setting('EXTERNAL_ID') }),
      ...(setting('EXPIRES_IN') && { expires: new Date(Date.now() + 1000 * setting('EXPIRES_IN')).toISOString() }),
    })(request)
}

function shopOf(query) {
  if (!shops.has(query)) shops.set(query, openShop(query))
  return shops.get(query)
}

async function read(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function answer(request, response) {
  const [path, query = ''] = request.url.split('?')
  if (path !== '/paid') {
    response.writeHead(404).end()
    return
  }
  const body = await read(request)
  const result = await shopOf(query)(
    new Request(`http://${request.headers.host}${request.url}`, {
      method: request.method,
      headers: request.headers,
      ...(body.length > 0 && { body }),
    }),
  )
  const sent =
    result.status === 402
      ? result.challenge
      : result.withReceipt(
          Response.json({ paid: true, method: request.method, body: body.length > 0 ? body.toString() : null }),
        )
  response.writeHead(sent.status, Object.fromEntries(sent.headers))
  response.end(Buffer.from(await sent.arrayBuffer()))
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error)
    response.writeHead(500).end(String(error))
  })
})
server.listen(Number(env.PORT ?? 0), '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
process.on('SIGTERM', () => process.exit(0))
