// Stripe's own client for Node.js, unmodified, over what a seller does. Prints one line: what came of it.
//
// Environment:
//   STRIPE_URL   where Stripe is (required)
//   STRIPE_KEY   the seller's secret key (required)

import Stripe from 'stripe'

const { hostname, port } = new URL(process.env.STRIPE_URL)
const stripe = new Stripe(process.env.STRIPE_KEY, { host: hostname, port: Number(port), protocol: 'http' })
const preview = { apiVersion: '2026-07-29.preview' }

const paid = await stripe.paymentIntents.create(
  {
    amount: 500,
    currency: 'usd',
    confirm: true,
    payment_method: 'pm_card_visa',
    payment_method_types: ['card'],
    metadata: { order: '7' },
    expand: ['latest_charge'],
  },
  { idempotencyKey: 'k' },
)
const declined = await stripe.paymentIntents
  .create({
    amount: 500,
    currency: 'usd',
    confirm: true,
    payment_method: 'pm_card_chargeDeclined',
    payment_method_types: ['card'],
  })
  .catch((error) => error)
const waiting = await stripe.paymentIntents.create(
  {
    amount: 101,
    currency: 'usd',
    confirm: true,
    payment_method_types: ['crypto'],
    payment_method_data: { type: 'crypto' },
    payment_method_options: { crypto: { mode: 'deposit', deposit_options: { networks: ['tempo'] } } },
  },
  preview,
)
const profile = await stripe.rawRequest('GET', '/v2/network/business_profiles/me', undefined, preview)
const refund = await stripe.refunds.create({ payment_intent: paid.id })
const listed = []
for await (const each of stripe.paymentIntents.list({ limit: 1 })) listed.push(each.id)

console.log(
  JSON.stringify({
    paid: paid.status,
    last4: paid.latest_charge.payment_method_details.card.last4,
    declined: [declined.type, declined.code, declined.decline_code],
    waiting: [waiting.status, Object.keys(waiting.next_action.crypto_display_details.deposit_addresses)],
    profile: profile.id,
    refund: refund.status,
    listed: listed.length,
  }),
)
