// A client of mppx, unmodified, which pays with a shared payment token or on Tempo: makes one request.
//
// Environment:
//   URL              what to request (required)
//   STRIPE_URL       where Stripe is (required)
//   STRIPE_KEY       the agent's secret key (required)
//   RPC_URL          the chain's JSON-RPC endpoint (required)
//   KEY              the payer's private key on the chain; with it Tempo is paid, without it a token
//   PAYMENT_METHOD   what the token stands for, default pm_card_visa
//
// Prints one line: {"status", "body", "receipt"}. If it cannot pay, {"error": message}, and exits with 1.

import { Mppx, stripe, tempo } from 'mppx/client'
import Stripe from 'stripe'
import { createClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { tempoModerato } from 'viem/chains'

const env = process.env
const { hostname, port } = new URL(env.STRIPE_URL)
const agent = new Stripe(env.STRIPE_KEY, {
  host: hostname,
  port: Number(port),
  protocol: 'http',
  apiVersion: '2026-07-29.preview',
})

const byToken = () =>
  stripe.charge({
    paymentMethod: env.PAYMENT_METHOD ?? 'pm_card_visa',
    createToken: async ({ amount, currency, expiresAt, networkId, paymentMethod }) => {
      const token = await agent.rawRequest('POST', '/v1/shared_payment/issued_tokens', {
        payment_method: paymentMethod,
        seller_details: { network_business_profile: networkId },
        usage_limits: { currency, max_amount: amount, expires_at: expiresAt },
      })
      return token.id
    },
  })
const onTempo = () =>
  tempo.charge({
    account: privateKeyToAccount(env.KEY),
    getClient: () => createClient({ chain: tempoModerato, transport: http(env.RPC_URL) }),
  })
const mppx = Mppx.create({ methods: [env.KEY ? onTempo() : byToken()], polyfill: false })

try {
  const response = await mppx.fetch(env.URL)
  const receipt = response.headers.get('payment-receipt')
  console.log(JSON.stringify({ status: response.status, body: await response.text(), receipt }))
} catch (error) {
  console.log(JSON.stringify({ error: String(error?.message ?? error) }))
  process.exitCode = 1
}
