// A client of mppx, the TypeScript implementation, unmodified: makes requests, and pays for them if asked to.
//
// Reads requests from stdin, one JSON object a line, and makes one after the other:
//   url        what to request (required)
//   key        the payer's private key, 0x and 64 hex digits (required)
//   rpc_url    the chain's JSON-RPC endpoint (required)
//   method     default GET
//   body       a JSON text to send, with content type application/json (default: none)
//   chain_id   42431 (default) or 4217
//   mode       "pull" or "push" (default: what mppx prefers, which is pull)
//
// Prints a line for each: {"status", "body", "headers", "receipt", "credential"}, where "body" is the text that came,
// "headers" are lower-cased, "receipt" is the Payment-Receipt header or null, and "credential" is what was presented
// ("Payment …") or null; or {"error": message} if the request was not answered. Ends with its input.

import { createInterface } from 'node:readline'
import { Mppx, tempo } from 'mppx/client'
import { createClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { tempo as mainnet, tempoModerato as testnet } from 'viem/chains'

async function make({ url, key, rpc_url, method = 'GET', body, chain_id = 42431, mode }) {
  const chain = [mainnet, testnet].find(({ id }) => id === Number(chain_id))
  const mppx = Mppx.create({
    methods: [
      tempo.charge({
        account: privateKeyToAccount(key),
        getClient: () => createClient({ chain, transport: http(rpc_url) }),
        ...(mode && { mode }),
      }),
    ],
    polyfill: false,
  })
  let presented = null
  mppx.onCredentialCreated(({ credential }) => {
    presented = credential
  })
  const response = await mppx.fetch(url, {
    method,
    ...(body && { body, headers: { 'content-type': 'application/json' } }),
  })
  return {
    status: response.status,
    body: await response.text(),
    headers: Object.fromEntries(response.headers),
    receipt: response.headers.get('payment-receipt'),
    credential: presented,
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const report = await make(JSON.parse(line)).catch((error) => ({ error: String(error?.message ?? error) }))
  console.log(JSON.stringify(report))
}
