// A client of mppx, the TypeScript implementation, unmodified: makes one request, and pays for it if asked to.
//
// Environment:
//   URL        what to request (required)
//   KEY        the payer's private key, 0x and 64 hex digits (required)
//   RPC_URL    the chain's JSON-RPC endpoint (required)
//   METHOD     default GET
//   BODY       a JSON text to send, with content type application/json (default: none)
//   CHAIN_ID   42431 (default) or 4217
//   MODE       "pull" or "push" (default: what mppx prefers, which is pull)
//
// Prints one line: {"status", "body", "headers", "receipt"}, where "body" is the text that came, "headers" are
// lower-cased and "receipt" is the Payment-Receipt header or null. If the request was not answered, prints
// {"error": message} and exits with 1.

import { Mppx, tempo } from 'mppx/client'
import { createClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { tempo as mainnet, tempoModerato as testnet } from 'viem/chains'

const env = process.env
const chain = [mainnet, testnet].find(({ id }) => id === Number(env.CHAIN_ID ?? 42431))

const mppx = Mppx.create({
  methods: [
    tempo.charge({
      account: privateKeyToAccount(env.KEY),
      getClient: () => createClient({ chain, transport: http(env.RPC_URL) }),
      ...(env.MODE && { mode: env.MODE }),
    }),
  ],
  polyfill: false,
})

try {
  const response = await mppx.fetch(env.URL, {
    method: env.METHOD ?? 'GET',
    ...(env.BODY && { body: env.BODY, headers: { 'content-type': 'application/json' } }),
  })
  const report = {
    status: response.status,
    body: await response.text(),
    headers: Object.fromEntries(response.headers),
    receipt: response.headers.get('payment-receipt'),
  }
  console.log(JSON.stringify(report))
} catch (error) {
  console.log(JSON.stringify({ error: String(error?.message ?? error) }))
  process.exitCode = 1
}
