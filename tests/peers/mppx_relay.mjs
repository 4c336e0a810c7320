// A relay as Tempo's API is one (mppx's option `relay` speaks to it), with mppx's own checks and broadcasts behind it.
//
//   POST /v1/mpp/validate     {"challenge", "payload", "source"?} -> {"success": true}
//   POST /v1/mpp/broadcast    the same -> {"success": true, "receipt": …}
//                             either, if it is refused -> {"success": false, "error": {"code", "message"}}
//
// The challenge has its `request` as an object. A broadcast under the same Idempotency-Key gets the same answer,
// whatever the body; without one, a credential is good once. Without the API key it is 401, with no JSON 400.
//
// Environment:
//   RPC_URL         the chain's JSON-RPC endpoint (required)
//   SECRET, REALM   what challenges are bound with, and for whom (required)
//   API_KEY         what has to be in the header Tempo-Api-Key (required)
//   CHAIN_ID        42431 (default) or 4217
//   FEE_PAYER_KEY   private key of an account that pays the fees where a challenge promises it (default: none)
//   PORT            default 0: any; HOST is 127.0.0.1
//
// Prints {"port": n} in one line when it listens, and nothing else on stdout. Ends with SIGTERM.

import { createServer } from 'node:http'
import { Errors } from 'mppx'
import { Mppx, tempo } from 'mppx/server'
import { createClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { tempo as mainnet, tempoModerato as testnet } from 'viem/chains'

const env = process.env
const chain = [mainnet, testnet].find(({ id }) => id === Number(env.CHAIN_ID ?? 42431))

const mppx = Mppx.create({
  methods: [
    tempo.charge({
      getClient: () => createClient({ chain, transport: http(env.RPC_URL) }),
      ...(env.FEE_PAYER_KEY && { feePayer: privateKeyToAccount(env.FEE_PAYER_KEY) }),
    }),
  ],
  realm: env.REALM,
  secretKey: env.SECRET,
})

function codeOf(error, unforeseen) {
  const message = String(error?.message)
  if (error instanceof Errors.PaymentExpiredError) return 'expired'
  if (/already been used/.test(message)) return 'already_used'
  if (/insufficient/i.test(message)) return 'insufficient_funds'
  return error instanceof Errors.PaymentError ? 'invalid_payment' : unforeseen
}

async function attempt(action, unforeseen) {
  try {
    return { success: true, ...(await action()) }
  } catch (error) {
    return { success: false, error: { code: codeOf(error, unforeseen), message: String(error?.message ?? error) } }
  }
}

async function validate(credential) {
  return attempt(async () => {
    await mppx.validateCredential(credential)
  }, 'simulation_failed')
}

const answers = new Map()

async function broadcast(credential, key) {
  if (key && answers.has(key)) return answers.get(key)
  const answer = attempt(async () => ({ receipt: await mppx.broadcastCredential(credential) }), 'broadcast_failed')
  if (key) answers.set(key, answer)
  return answer
}

async function answer(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const broadcasting = request.url === '/v1/mpp/broadcast'
  if (request.method !== 'POST' || !(broadcasting || request.url === '/v1/mpp/validate')) return [404, {}]
  if (request.headers['tempo-api-key'] !== env.API_KEY) return [401, {}]
  let credential
  try {
    credential = JSON.parse(Buffer.concat(chunks))
  } catch {
    return [400, {}]
  }
  const key = request.headers['idempotency-key']
  return [200, broadcasting ? await broadcast(credential, key) : await validate(credential)]
}

const server = createServer(async (request, response) => {
  const [status, body] = await answer(request)
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
})
server.listen(Number(env.PORT ?? 0), '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
process.on('SIGTERM', () => process.exit(0))
