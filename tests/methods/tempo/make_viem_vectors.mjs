// Writes viem_vectors.json: Tempo transactions, calldata, logs and addresses as viem makes them.
//
// In a directory of its own:
//
//     npm install viem@2.57.20
//     node …/tests/methods/tempo/make_viem_vectors.mjs > …/tests/methods/tempo/viem_vectors.json
//
// viem is looked for in the current directory, not beside this file. All keys are fixed, so the same
// version writes the same file. Integers are decimal strings.

import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const require = createRequire(join(process.cwd(), 'package.json'))
const load = (name) => import(pathToFileURL(require.resolve(name)))
const viem = await load('viem')
const { encodeAbiParameters, encodeEventTopics, encodeFunctionData, getAddress, keccak256 } = viem
const { privateKeyToAccount, sign } = await load('viem/accounts')
const { Abis, Account, Transaction } = await load('viem/tempo')
const { version } = require('viem/package.json')

const payerKey = `0x${'11'.repeat(32)}`
const sponsorKey = `0x${'22'.repeat(32)}`
const accessKey = `0x${'44'.repeat(32)}`

const pathUSD = '0x20c0000000000000000000000000000000000000'
const usdc = '0x20c000000000000000000000b9537d11c60e8b50'
const recipient = '0x742d35cc6634c0532925a3b844bc9e7595f8fe00'
const platform = '0xa1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4e5f6a1b2'
const memo = '0xef1ed712011ece072f76bd8b82350e000000000000000000005e918c2dbc85da'
const expiring = 2n ** 256n - 1n

const data = (functionName, ...args) => encodeFunctionData({ abi: Abis.tip20, functionName, args })
const call = (data, to = pathUSD) => ({ to, value: 0n, data })
const pay = (amount, to = recipient) => call(data('transfer', to, amount))
const payWithMemo = (amount, to = recipient) => call(data('transferWithMemo', to, amount, memo))

const base = {
  type: 'tempo',
  chainId: 42431,
  maxPriorityFeePerGas: 1_000_000_000n,
  maxFeePerGas: 20_000_000_000n,
  gas: 100_000n,
  feeToken: pathUSD,
}

const cases = {
  'a plain transfer': { ...base, calls: [pay(1_000_000n)] },
  'a transfer with a memo': { ...base, calls: [payWithMemo(1_000_000n)] },
  'several calls': {
    ...base,
    calls: [payWithMemo(940_000n), pay(50_000n, platform), payWithMemo(10_000n, platform)],
  },
  'another fee token than the one that moves': { ...base, calls: [pay(1n)], feeToken: usdc },
  'no fee token': { ...base, calls: [pay(1n)], feeToken: undefined },
  'a nonce': { ...base, calls: [pay(1n)], nonce: 785 },
  'a nonce lane of its own': { ...base, calls: [pay(1n)], nonceKey: 7n, nonce: 1 },
  'an expiring nonce': {
    ...base,
    calls: [payWithMemo(10_000n)],
    nonceKey: expiring,
    validBefore: 1_893_456_000,
  },
  'an expiring nonce with a discriminator': {
    ...base,
    calls: [payWithMemo(10_000n)],
    nonceKey: expiring,
    nonce: 2 ** 48 - 1,
    validBefore: 1_893_456_000,
  },
  'a validity window': { ...base, calls: [pay(1n)], validAfter: 1_893_455_000, validBefore: 1_893_456_000 },
  'zero fees': { ...base, calls: [pay(1n)], maxFeePerGas: 0n, maxPriorityFeePerGas: 0n, gas: 0n },
  'integers one byte long and at its edge': {
    ...base,
    calls: [pay(127n), pay(128n)],
    gas: 127n,
    maxFeePerGas: 128n,
    maxPriorityFeePerGas: 1n,
    nonce: 255,
    nonceKey: 256n,
  },
  'large integers': {
    ...base,
    chainId: Number.MAX_SAFE_INTEGER,
    calls: [{ to: pathUSD, value: 2n ** 256n - 1n, data: data('transfer', recipient, 2n ** 256n - 1n) }],
    maxFeePerGas: 2n ** 128n - 1n,
    maxPriorityFeePerGas: 2n ** 128n - 1n,
    gas: 2n ** 64n - 1n,
    nonceKey: 2n ** 255n,
    validBefore: Number.MAX_SAFE_INTEGER,
  },
  'a long batch': { ...base, calls: Array.from({ length: 11 }, (_, index) => payWithMemo(BigInt(index))) },
  'a contract creation': { ...base, calls: [{ to: undefined, value: 0n, data: '0x6001600155' }] },
  'a call without data': { ...base, calls: [{ to: recipient, value: 1n, data: undefined }] },
  'an access list': {
    ...base,
    calls: [pay(1n)],
    accessList: [{ address: pathUSD, storageKeys: [`0x${'00'.repeat(32)}`, `0x${'ab'.repeat(32)}`] }],
  },
  'a fee payer yet to sign': {
    ...base,
    calls: [payWithMemo(10_000n)],
    feeToken: undefined,
    feePayerSignature: null,
  },
}

const payer = privateKeyToAccount(payerKey)
const root = Account.fromSecp256k1(payerKey)

function describe(tx) {
  const decimal = (value) => (value === undefined ? undefined : BigInt(value).toString())
  return {
    chainId: decimal(tx.chainId),
    maxPriorityFeePerGas: decimal(tx.maxPriorityFeePerGas),
    maxFeePerGas: decimal(tx.maxFeePerGas),
    gas: decimal(tx.gas),
    calls: tx.calls.map(({ to, value, data }) => ({ to, value: decimal(value), data: data ?? '0x' })),
    accessList: tx.accessList?.map(({ address, storageKeys }) => [address, storageKeys]),
    nonceKey: decimal(tx.nonceKey ?? 0n),
    nonce: decimal(tx.nonce ?? 0),
    validBefore: decimal(tx.validBefore),
    validAfter: decimal(tx.validAfter),
    feeToken: tx.feeToken,
    awaitsFeePayer: tx.feePayerSignature === null,
  }
}

async function vector(name, tx) {
  const unsigned = await Transaction.serialize(tx)
  const signature = await sign({ hash: keccak256(unsigned), privateKey: payerKey })
  const serialized = await Transaction.serialize(tx, signature)
  return {
    name,
    fields: describe(tx),
    unsigned,
    signingHash: keccak256(unsigned),
    serialized,
    hash: keccak256(serialized),
    sender: payer.address,
  }
}

// Both have signed: the envelope carries the fee token, which the payer's signature does not cover.
async function sponsored() {
  const tx = { ...base, calls: [payWithMemo(10_000n)], nonceKey: expiring, validBefore: 1_893_456_000 }
  const unsigned = await Transaction.serialize({ ...tx, feeToken: undefined, feePayerSignature: null })
  const signature = await sign({ hash: keccak256(unsigned), privateKey: payerKey })
  const sponsor = Account.fromSecp256k1(sponsorKey)
  const serialized = await Transaction.serialize({ ...tx, feePayer: sponsor, from: payer.address }, signature)
  const { feePayerSignature } = Transaction.deserialize(serialized)
  return {
    fields: describe(tx),
    signingHash: keccak256(unsigned),
    serialized,
    hash: keccak256(serialized),
    sender: payer.address,
    feePayerSignature: { ...feePayerSignature },
    // What travels before the fee payer has signed: another type, with the sender's address.
    handedOver: await Transaction.serialize({ ...tx, feePayer: true, from: payer.address }, signature),
  }
}

async function keyAuthorization() {
  const key = Account.fromSecp256k1(accessKey)
  const authorization = await root.signKeyAuthorization(
    { accessKeyAddress: key.address, keyType: 'secp256k1' },
    {
      chainId: 42431n,
      expiry: 1_893_456_000,
      limits: [{ token: pathUSD, limit: 5_000_000n, period: 86_400 }],
      scopes: [{ address: pathUSD, selector: '0x95777d59', recipients: [recipient] }],
    },
  )
  return vector('a key authorization', { ...base, calls: [pay(1n)], keyAuthorization: authorization })
}

async function otherSignatureTypes() {
  const accounts = {
    P256: Account.fromP256(accessKey),
    WebAuthn: Account.fromHeadlessWebAuthn(accessKey, { rpId: 'example.com', origin: 'https://example.com' }),
    keychain: Account.fromSecp256k1(accessKey, { access: root }),
  }
  const signed = Object.entries(accounts).map(async ([type, account]) => ({
    type,
    serialized: await account.signTransaction({ ...base, calls: [pay(1n)] }),
  }))
  return Promise.all(signed)
}

function calls() {
  const transfer = (to, amount) => ({ to, amount: amount.toString(), data: data('transfer', to, amount) })
  const withMemo = (to, amount) => ({
    to,
    amount: amount.toString(),
    memo,
    data: data('transferWithMemo', to, amount, memo),
  })
  return {
    transfers: [
      transfer(recipient, 1_000_000n),
      transfer(platform, 2n ** 256n - 1n),
      transfer(recipient, 0n),
    ],
    transfersWithMemo: [withMemo(recipient, 10_000n), withMemo(platform, 1n)],
    balanceOf: { address: recipient, data: data('balanceOf', recipient) },
  }
}

function logs() {
  const log = (eventName, args) => ({
    address: pathUSD,
    topics: encodeEventTopics({ abi: Abis.tip20, eventName, args }),
    data: encodeAbiParameters([{ type: 'uint256' }], [args.amount]),
  })
  const args = { from: payer.address, to: recipient, amount: 10_000n, memo }
  return { transfer: log('Transfer', args), transferWithMemo: log('TransferWithMemo', args) }
}

const vectors = {
  generator: `viem ${version}`,
  privateKey: payerKey,
  transactions: [
    ...(await Promise.all(Object.entries(cases).map(([name, tx]) => vector(name, tx)))),
    await keyAuthorization(),
  ],
  sponsored: await sponsored(),
  otherSignatureTypes: await otherSignatureTypes(),
  calls: calls(),
  logs: logs(),
  addresses: [pathUSD, usdc, recipient, platform, payer.address].map((address) => ({
    lower: address.toLowerCase(),
    checksummed: getAddress(address),
  })),
}
process.stdout.write(`${JSON.stringify(vectors, null, 1)}\n`)
