// Writes viem_vectors.json: Tempo transactions, signatures, key authorizations, proofs, calldata, logs and
// addresses as viem makes them.
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
const { encodeAbiParameters, encodeEventTopics, encodeFunctionData, encodeFunctionResult } = viem
const { getAddress, hashTypedData, keccak256 } = viem
const { privateKeyToAccount, sign } = await load('viem/accounts')
const { Abis, Account, Addresses, Transaction } = await load('viem/tempo')
const { version } = require('viem/package.json')

// What viem itself is built on, in the version that viem brings.
const loadOfViem = (name) =>
  import(pathToFileURL(createRequire(require.resolve('viem/package.json')).resolve(name)))
const { KeyAuthorization, SignatureEnvelope, TxEnvelopeTempo } = await loadOfViem('ox/tempo')
const P256 = await loadOfViem('ox/P256')

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

// The two spellings in which a transaction goes to its fee payer, and what becomes of it there. The last
// carries the fee token, which the payer's signature does not cover.
async function sponsoredBy(account) {
  const tx = { ...base, calls: [payWithMemo(10_000n)], nonceKey: expiring, validBefore: 1_893_456_000 }
  const awaiting = { ...tx, feeToken: undefined, feePayerSignature: null }
  const unsigned = await Transaction.serialize(awaiting)
  const signed = await account.signTransaction({ ...tx, feePayer: true })
  const signature = Transaction.deserialize(signed).signature
  const sponsor = Account.fromSecp256k1(sponsorKey)
  const from = account.address
  const serialized = await Transaction.serialize({ ...tx, feePayer: sponsor, from }, signature)
  const envelope = TxEnvelopeTempo.deserialize(serialized)
  const { feePayerSignature } = Transaction.deserialize(serialized)
  return {
    fields: describe(tx),
    signingHash: keccak256(unsigned),
    awaiting: await Transaction.serialize(awaiting, signature),
    handedOver: await Transaction.serialize({ ...tx, feePayer: true, from }, signature),
    feePayerHash: TxEnvelopeTempo.getFeePayerSignPayload(envelope, { sender: from }),
    serialized,
    hash: keccak256(serialized),
    sender: from,
    feePayer: sponsor.address,
    feePayerSignature: { ...feePayerSignature },
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

const passkey = { rpId: 'example.com', origin: 'https://example.com' }
const accounts = {
  secp256k1: Account.fromSecp256k1(accessKey),
  P256: Account.fromP256(accessKey),
  WebAuthn: Account.fromHeadlessWebAuthn(accessKey, passkey),
  'keychain of secp256k1': Account.fromSecp256k1(accessKey, { access: root }),
  'keychain of P256': Account.fromP256(accessKey, { access: root }),
  'keychain of WebAuthn': Account.fromHeadlessWebAuthn(accessKey, { ...passkey, access: root }),
}
const isAccessKey = (account) => account.source === 'accessKey'
const signerOf = (account) => ({
  account: account.address,
  accessKey: isAccessKey(account) ? getAddress(account.accessKeyAddress) : undefined,
  keyType: account.keyType,
})

async function signatures() {
  const hash = keccak256('0x1234')
  const vectors = Object.entries(accounts).map(async ([type, account]) => ({
    type,
    hash,
    signature: await account.sign({ hash }),
    signer: signerOf(account),
  }))
  // As Web Crypto signs, which cannot but hash.
  const prehashed = {
    type: 'P256, hashed before',
    hash,
    signature: SignatureEnvelope.serialize({
      type: 'p256',
      prehash: true,
      publicKey: P256.getPublicKey({ privateKey: accessKey }),
      signature: P256.sign({ payload: hash, privateKey: accessKey, hash: true }),
    }),
    signer: signerOf(accounts.P256),
  }
  const legacy = {
    type: 'keychain, version 1',
    hash,
    signature: SignatureEnvelope.serialize({
      type: 'keychain',
      version: 'v1',
      userAddress: root.address,
      inner: SignatureEnvelope.from(await accounts.secp256k1.sign({ hash })),
    }),
  }
  return [...(await Promise.all(vectors)), prehashed, legacy]
}

async function signedOtherwise() {
  const signed = Object.entries(accounts).map(async ([type, account]) => {
    const serialized = await account.signTransaction({ ...base, calls: [pay(1n)] })
    return { type, serialized, hash: keccak256(serialized), signer: signerOf(account) }
  })
  return Promise.all(signed)
}

const decimals = (value) =>
  JSON.parse(JSON.stringify(value, (_, member) => (typeof member === 'bigint' ? member.toString() : member)))

async function keyAuthorizations() {
  const expiry = 1_893_456_000
  const scope = (selector, recipients) => ({ address: pathUSD, selector, recipients })
  const cases = {
    'of no limits': {},
    'with an expiry': { expiry },
    'with a limit': { expiry, limits: [{ token: pathUSD, limit: 5_000_000n }] },
    'with a limit and no expiry': { limits: [{ token: pathUSD, limit: 5_000_000n }] },
    'with a limit of nothing': { limits: [{ token: pathUSD, limit: 0n }] },
    'with limits per period': {
      expiry,
      limits: [
        { token: pathUSD, limit: 2n ** 256n - 1n, period: 86_400 },
        { token: usdc, limit: 1n },
      ],
    },
    'that may spend nothing': { limits: [] },
    'with scopes': {
      expiry,
      scopes: [scope('0xa9059cbb'), scope('0x95777d59', [recipient, platform]), { address: usdc }],
    },
    'that may call nothing': { scopes: [] },
    'with a witness': { witness: memo },
    'with a witness of zeros': { expiry, limits: [], witness: `0x${'00'.repeat(32)}` },
    'with an account': { account: payer.address },
    'of an admin key': { account: payer.address, isAdmin: true },
    'of a P256 key': { type: 'p256', expiry },
    'of a passkey': { type: 'webAuthn', scopes: [{ address: pathUSD }] },
    'of any chain': { chainId: 0n },
    'with everything': {
      expiry,
      limits: [{ token: pathUSD, limit: 5_000_000n, period: 3600 }],
      scopes: [scope('0x95777d59', [recipient])],
      witness: memo,
      isAdmin: true,
      account: payer.address,
    },
  }
  const by = async (root, name, fields) => {
    const type = fields.type ?? 'secp256k1'
    const key = { secp256k1: accounts.secp256k1, p256: accounts.P256, webAuthn: accounts.WebAuthn }[type]
    const unsigned = { chainId: 42431n, address: key.address, ...fields, type }
    const hash = KeyAuthorization.getSignPayload(unsigned)
    const signature = SignatureEnvelope.from(await root.sign({ hash }))
    return {
      name,
      fields: decimals(unsigned),
      unsigned: KeyAuthorization.serialize(unsigned),
      signingHash: hash,
      serialized: KeyAuthorization.serialize({ ...unsigned, signature }),
      signedBy: root.address,
    }
  }
  return Promise.all([
    ...Object.entries(cases).map(([name, fields]) => by(root, name, fields)),
    by(Account.fromP256(payerKey), 'by a P256 account', { expiry }),
    by(Account.fromHeadlessWebAuthn(payerKey, passkey), 'by a passkey', { expiry }),
  ])
}

function proofs() {
  const types = {
    1: [{ name: 'challengeId', type: 'string' }],
    2: [
      { name: 'challengeId', type: 'string' },
      { name: 'realm', type: 'string' },
    ],
    3: [
      { name: 'account', type: 'address' },
      { name: 'challengeId', type: 'string' },
      { name: 'realm', type: 'string' },
    ],
  }
  const messages = [
    {
      account: payer.address,
      challengeId: 'JFbuyl1b9imunJmb9ogmLbAJo8b4WG7lDWKwKzGCg3g',
      realm: 'api.example.com',
    },
    { account: getAddress(recipient), challengeId: '', realm: 'bücher.example, „alles“' },
  ]
  return [42431, 4217].flatMap((chainId) =>
    messages.flatMap((message) =>
      Object.entries(types).map(([version, Proof]) => ({
        version: Number(version),
        chainId,
        ...message,
        hash: hashTypedData({
          domain: { name: 'MPP', version, chainId },
          types: { Proof },
          primaryType: 'Proof',
          message,
        }),
      })),
    ),
  )
}

function swaps() {
  const encode = (abi, functionName, ...args) => encodeFunctionData({ abi, functionName, args })
  const swap = (amountOut, maxAmountIn, tokenIn = usdc, tokenOut = pathUSD) => ({
    tokenIn: getAddress(tokenIn),
    tokenOut: getAddress(tokenOut),
    amountOut: amountOut.toString(),
    maxAmountIn: maxAmountIn.toString(),
    approve: encode(Abis.tip20, 'approve', Addresses.stablecoinDex, maxAmountIn),
    swap: encode(Abis.stablecoinDex, 'swapExactAmountOut', tokenIn, tokenOut, amountOut, maxAmountIn),
    quote: encode(Abis.stablecoinDex, 'quoteSwapExactAmountOut', tokenIn, tokenOut, amountOut),
    quoted: encodeFunctionResult({
      abi: Abis.stablecoinDex,
      functionName: 'quoteSwapExactAmountOut',
      result: maxAmountIn,
    }),
  })
  return {
    address: getAddress(Addresses.stablecoinDex),
    swaps: [
      swap(1_000_000n, 1_010_000n),
      swap(1n, 2n ** 128n - 1n, pathUSD, usdc),
      swap(2n ** 128n - 1n, 0n),
    ],
  }
}

function keychain() {
  const abi = Abis.accountKeychain
  const key = accounts.secp256k1.address
  const encode = (functionName, ...args) => encodeFunctionData({ abi, functionName, args })
  const result = (functionName, value) => encodeFunctionResult({ abi, functionName, result: value })
  const expiry = 1_893_456_000n
  const info = (changes) => ({
    ...{ signatureType: 0, keyId: key, expiry, enforceLimits: true, isRevoked: false },
    ...changes,
  })
  const infos = [
    info({}),
    info({ signatureType: 1, expiry: 2n ** 64n - 1n, enforceLimits: false }),
    info({ signatureType: 2 }),
    info({ keyId: `0x${'00'.repeat(20)}`, expiry: 0n, enforceLimits: false }),
    info({ keyId: `0x${'00'.repeat(20)}`, expiry: 0n, enforceLimits: false, isRevoked: true }),
  ]
  const restrictions = {
    expiry,
    enforceLimits: true,
    limits: [
      { token: pathUSD, amount: 5_000_000n, period: 86_400n },
      { token: usdc, amount: 1n, period: 0n },
    ],
    allowAnyCalls: false,
    allowedCalls: [
      {
        target: pathUSD,
        selectorRules: [
          { selector: '0xa9059cbb', recipients: [] },
          { selector: '0x95777d59', recipients: [recipient, platform] },
        ],
      },
      { target: usdc, selectorRules: [] },
    ],
  }
  const unrestricted = {
    expiry: 2n ** 64n - 1n,
    enforceLimits: false,
    limits: [],
    allowAnyCalls: true,
    allowedCalls: [],
  }
  return {
    address: getAddress(Addresses.accountKeychain),
    account: payer.address,
    key,
    token: getAddress(pathUSD),
    getKey: encode('getKey', payer.address, key),
    keys: infos.map((value) => ({ ...decimals(value), data: result('getKey', value) })),
    getRemainingLimit: encode('getRemainingLimitWithPeriod', payer.address, key, pathUSD),
    remainingLimit: result('getRemainingLimitWithPeriod', [4_000_000n, expiry]),
    getRemainingLimitLegacy: encode('getRemainingLimit', payer.address, key, pathUSD),
    remainingLimitLegacy: result('getRemainingLimit', 4_000_000n),
    authorize: {
      unrestricted: encode('authorizeKey', key, 1, unrestricted),
      restricted: encode('authorizeKey', key, 2, restrictions),
      witnessed: encode('authorizeKey', key, 0, restrictions, memo),
      legacy: encode('authorizeKey', key, 0, expiry, true, [{ token: pathUSD, amount: 5_000_000n }]),
      legacyUnrestricted: encode('authorizeKey', key, 0, 2n ** 64n - 1n, false, []),
    },
    revoke: encode('revokeKey', key),
  }
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
  sponsored: await Promise.all([root, ...Object.values(accounts)].map(sponsoredBy)),
  signatures: await signatures(),
  signedOtherwise: await signedOtherwise(),
  keyAuthorizations: await keyAuthorizations(),
  proofs: proofs(),
  dex: swaps(),
  keychain: keychain(),
  calls: calls(),
  logs: logs(),
  addresses: [pathUSD, usdc, recipient, platform, payer.address].map((address) => ({
    lower: address.toLowerCase(),
    checksummed: getAddress(address),
  })),
}
process.stdout.write(`${JSON.stringify(vectors, null, 1)}\n`)
