// A server of mppx, the TypeScript implementation, unmodified.
//
//   GET /paid, POST /paid    sell {"paid": true, "method": …, "body": …}, the last being what was posted
//
// Environment:
//   RPC_URL         the chain's JSON-RPC endpoint (required)
//   RECIPIENT       the address that is paid (required)
//   SECRET          the key that challenges are bound with, 32 characters or more (required)
//   PORT            default 0: any; HOST is 127.0.0.1
//   AMOUNT          decimal string, default "0.01"; "0" asks for a proof
//   CURRENCY        token address, default pathUSD
//   CHAIN_ID        42431 (default) or 4217
//   REALM           default "127.0.0.1"
//   FEE_PAYER_KEY   private key of an account that pays the fees (default: the payer does)
//   MODES           comma-separated subset of "push,pull" to offer (default: both, unsaid)
//   SPLITS          JSON array of {"amount", "recipient", "memo"?}, amounts in decimal strings (default: none)
//
// Prints {"port": n} in one line when it listens, and nothing else on stdout. Ends with SIGTERM.

import { createServer } from 'node:http'
import { Mppx, tempo } from 'mppx/server'
import { createClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { tempo as mainnet, tempoModerato as testnet } from 'viem/chains'

const env = process.env
const chain = [mainnet, testnet].find(({ id }) => id === Number(env.CHAIN_ID ?? 42431))

const mppx = Mppx.create({
  methods: [
    tempo.charge({
      currency: env.CURRENCY ?? '0x20c0000000000000000000000000000000000000',
      recipient: env.RECIPIENT,
      getClient: () => createClient({ chain, transport: http(env.RPC_URL) }),
      ...(env.FEE_PAYER_KEY && { feePayer: privateKeyToAccount(env.FEE_PAYER_KEY) }),
      ...(env.MODES && { supportedModes: env.MODES.split(',') }),
    }),
  ],
  realm: env.REALM ?? '127.0.0.1',
  secretKey: env.SECRET,
})

const charge = mppx.charge({
  amount: env.AMOUNT ?? '0.01',
  chainId: chain.id,
  ...(env.SPLITS && { splits: JSON.parse(env.SPLITS) }),
})

async function read(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function answer(request, response) {
  if (request.url.split('?')[0] !== '/paid') {
    response.writeHead(404).end()
    return
  }
  const body = await read(request)
  const result = await charge(
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
    response.writeHead(500).end()
  })
})
server.listen(Number(env.PORT ?? 0), '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
process.on('SIGTERM', () => process.exit(0))
