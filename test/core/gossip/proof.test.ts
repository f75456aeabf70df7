/** The proof on a new link: what is signed, and what whoever has no key to the name it goes by can try in vain. */
import { beforeEach, describe, expect, it } from 'vitest'
import { standInPublicKey, standInSignature } from '../../../src/adapters/memory/stand-in-keys.ts'
import { Handshakes } from '../../../src/core/gossip/handshake.ts'
import { Memory } from '../../../src/core/gossip/memory.ts'
import type { Encounter, Party } from '../../../src/core/gossip/proof.ts'
import { createNonce, proofBytes } from '../../../src/core/gossip/proof.ts'
import { parseNodeId } from '../../../src/core/identity/node-id.ts'
import type { NodeCore } from '../../../src/core/node.ts'
import { DEFAULT_LIMITS } from '../../../src/core/tuning.ts'
import { seededRandom } from '../../../src/testing/random.ts'
import { authorityOf, nodeIdOf, tableOf } from '../support/names.ts'
import { agree, coreOf, isLinked } from '../support/nodes.ts'
import { Puppet } from '../support/puppet.ts'
import { Room } from '../support/room.ts'

const party = (index: number): Party => ({
  nodeId: nodeIdOf(index),
  nonce: new Uint8Array(16).fill(index),
  publicKey: standInPublicKey(authorityOf(index)),
})

describe('what is signed', () => {
  const seen: Encounter = {
    cluster: 'c',
    own: party(1),
    other: party(2),
    fingerprints: { local: 'L', remote: 'R' },
  }
  const seenByOther: Encounter = {
    cluster: 'c',
    own: party(2),
    other: party(1),
    fingerprints: { local: 'R', remote: 'L' },
  }

  it('is the same for both ends, and another thing for each signer', () => {
    expect(proofBytes(seenByOther, 'other')).toEqual(proofBytes(seen, 'own'))
    expect(proofBytes(seenByOther, 'own')).toEqual(proofBytes(seen, 'other'))
    expect(proofBytes(seen, 'own')).not.toEqual(proofBytes(seen, 'other'))
  })

  it('changes with everything that makes the link what it is', () => {
    const changed: Partial<Encounter>[] = [
      { cluster: 'd' },
      { own: party(3) },
      { other: party(3) },
      { own: { ...party(1), nonce: new Uint8Array(16) } },
      { other: { ...party(2), nonce: new Uint8Array(16) } },
      { own: { ...party(1), publicKey: new Uint8Array(44) } },
      { other: { ...party(2), publicKey: new Uint8Array(44) } },
      { fingerprints: { local: 'R', remote: 'L' } },
      { fingerprints: { local: 'L', remote: 'X' } },
      { fingerprints: { local: 'LR', remote: '' } },
      { fingerprints: undefined },
    ]
    const texts = [{}, ...changed].map((patch) => proofBytes(Object.assign({}, seen, patch), 'own').join())
    expect(new Set(texts).size).toBe(changed.length + 1)
  })

  it('begins with its label, so that it is worth nothing elsewhere', () => {
    const text = String.fromCharCode(...proofBytes(seen, 'own'))
    expect(text.slice(0, 19)).toBe('\u0010grainmesh link 1\u0001c')
  })

  it('has nonces of 16 bytes from the given source', () => {
    const random = seededRandom(1, 'nonces')
    const nonces = Array.from({ length: 100 }, () => createNonce(random))
    expect(nonces.every(({ length }) => length === 16)).toBe(true)
    expect(new Set(nonces.map(String)).size).toBe(100)
  })
})

let room: Room
let core: NodeCore
let puppet: Puppet

beforeEach(() => {
  room = new Room()
  core = coreOf(1)
  room.contacts = () => []
  room.join(core)
  room.until(() => core.status === 'up', 'alone in the room')
  puppet = new Puppet(room)
  room.join(puppet)
})

/** Nothing of what it said was used, and it was told so. */
function expectUnproven(stranger: Puppet): void {
  room.run(5)
  expect(stranger.heard('refuse')).toMatchObject([{ code: 'unproven' }])
  expect(stranger.heard('accept')).toEqual([])
  expect(core.table.get(stranger.nodeId)).toBe(undefined)
  expect(core.links()).toEqual([])
  expect(room.events(core, 'handshake-refused').at(-1)).toMatchObject({
    by: 'us',
    code: 'unproven',
    nodeId: stranger.nodeId,
  })
}

describe('a member with a key', () => {
  it('lets in who proves its name, and takes over nothing before', () => {
    puppet.dial(core.nodeId)
    puppet.say(puppet.hello(), { kind: 'accept', version: 1 })
    room.run(1_000)
    expect(core.table.get(puppet.nodeId)).toBe(undefined)
    expect(core.status).toBe('up')
    expect(core.links()).toEqual([])
    puppet.prove()
    room.run(5)
    expect(core.table.status(puppet.nodeId)).toBe('up')
    expect(isLinked(core, puppet)).toBe(true)
  })

  it('refuses a wrong signature', () => {
    puppet.dial(core.nodeId)
    puppet.say(puppet.hello(), { kind: 'proof', signature: new Uint8Array(64) })
    expectUnproven(puppet)
  })

  it('refuses a stolen nodeId with another key', () => {
    const thief = standInPublicKey(authorityOf(7))
    puppet.introduce(core.nodeId, { publicKey: thief })
    expectUnproven(puppet)
    // Signed with the key it showed, which is right for that key and wrong for the name.
    puppet.dial(core.nodeId)
    const hello = puppet.hello({ publicKey: thief })
    puppet.say(hello)
    room.run(5)
    const other = puppet.heard('hello')[0]!
    const fingerprints = room.fingerprints(puppet.nodeId, core.nodeId)
    const bytes = proofBytes({ cluster: 'test', own: hello, other, fingerprints }, 'own')
    puppet.say({ kind: 'proof', signature: standInSignature(thief, bytes) })
    expectUnproven(puppet)
  })

  it('refuses a newer life of its own authority that cannot sign for it', () => {
    const before = core.nodeId
    const impostor = new Puppet(room, nodeIdOf(1, 9))
    room.join(impostor)
    impostor.dial(core.nodeId)
    impostor.say(impostor.hello(), { kind: 'proof', signature: new Uint8Array(64).fill(7) })
    expectUnproven(impostor)
    expect(core.nodeId).toBe(before)
    expect(core.status).toBe('up')
  })

  it('refuses a proof from another link, since its nonce is another', () => {
    puppet.introduce(core.nodeId)
    room.run(5)
    const first = puppet.heard('hello')[0]!
    expect(core.table.status(puppet.nodeId)).toBe('up')
    puppet.hangUp()
    core.table.remove(puppet.nodeId, room.now, 'test')
    const again = new Puppet(room, nodeIdOf(900, 2))
    room.join(again)
    again.dial(core.nodeId)
    again.say(again.hello())
    room.run(5)
    expect(again.heard('hello')[0]!.nonce).not.toEqual(first.nonce)
    again.prove({ other: first })
    expectUnproven(again)
  })

  it('refuses its own proof, reflected', () => {
    // The worst case: the reflector goes by another life of the core's own authority and shows the core's own key.
    const mirror = new Puppet(room, nodeIdOf(1, 9))
    room.join(mirror)
    mirror.dial(core.nodeId)
    mirror.say(mirror.hello())
    room.until(() => mirror.heard('proof').length > 0, 'the core proves who it is')
    mirror.say(mirror.heard('proof')[0]!)
    expectUnproven(mirror)
    expect(core.status).toBe('up')
  })

  it('does not talk to itself', () => {
    const table = tableOf(1)
    const handshakes = new Handshakes({
      cluster: 'test',
      publicKey: standInPublicKey(authorityOf(1)),
      table,
      limits: DEFAULT_LIMITS,
      memory: new Memory([], table.own),
      random: seededRandom(1, 'itself'),
    })
    const hello = handshakes.begin(1, table.own, undefined)
    expect(handshakes.receive(1, hello)).toEqual({
      type: 'malformed',
      reason: `${table.own} answered on a link to ${table.own}`,
    })
  })

  it('refuses whoever sees another channel than it does, as with somebody in the middle', () => {
    puppet.dial(core.nodeId)
    puppet.say(puppet.hello())
    room.run(5)
    const { local } = room.fingerprints(puppet.nodeId, core.nodeId)!
    puppet.prove({ fingerprints: { local, remote: 'print of the middle' } })
    expectUnproven(puppet)
  })

  it('refuses whoever has no key, and says what to do', () => {
    puppet.dial(core.nodeId)
    puppet.say(puppet.hello({ publicKey: new Uint8Array(0) }))
    expectUnproven(puppet)
    expect(puppet.heard('refuse')[0]!.reason).toBe(
      `${puppet.nodeId} has no key to prove who it is; its page must be served over https or from localhost`,
    )
    expect(puppet.heard('proof')).toEqual([])
  })

  it('takes a proof once, after a hello, and not after the link is done', () => {
    const proof = { kind: 'proof', signature: new Uint8Array(64) } as const
    const reasons = () => room.events(core, 'frame-rejected').map(({ reason }) => reason)
    puppet.dial(core.nodeId)
    puppet.say(proof, proof)
    room.run(5)
    expect(reasons()).toEqual(['proof before the hello'])
    puppet.dial(core.nodeId)
    puppet.say(puppet.hello(), proof, proof)
    room.run(5)
    expect(reasons().at(-1)).toBe('proof was not asked for')
    expect(core.table.get(puppet.nodeId)).toBe(undefined)
    puppet.enter(core.nodeId)
    puppet.say(proof)
    room.run(5)
    expect(reasons().at(-1)).toBe('proof was not asked for')
    expect(isLinked(core, puppet)).toBe(true)
  })

  it('forgets a link that ends while keys are at work', () => {
    puppet.introduce(core.nodeId)
    puppet.hangUp()
    room.run(5)
    const links = Array.from({ length: 20 }, (_, linkId) => linkId)
    for (const linkId of links) {
      room.feed(core, { type: 'verified', linkId, ok: true })
      room.feed(core, { type: 'signed', linkId, signature: new Uint8Array(64) })
    }
    expect(core.links()).toEqual([])
    expect(core.status).toBe('up')
  })
})

describe('members without keys', () => {
  const keyless = { publicKey: new Uint8Array(0) }

  it('form a cluster of their own', () => {
    const cores = [coreOf(2, keyless), coreOf(3, keyless)]
    room.contacts = (asker, others) => others.filter((id) => id > core.nodeId && asker !== core.nodeId)
    room.recording = true
    for (const other of cores) room.join(other)
    room.until(() => agree(cores), 'the two without keys agree')
    expect(room.frames('proof').filter(({ from }) => cores.some(({ nodeId }) => nodeId === from))).toEqual([])
  })

  it('are refused by those with keys, and refuse them', () => {
    const other = coreOf(2, keyless)
    room.contacts = (asker) => (asker === other.nodeId ? [core.nodeId] : [])
    room.join(other)
    room.until(() => room.events(other, 'handshake-refused').length > 0, 'it is refused')
    expect(room.events(other, 'handshake-refused')[0]).toMatchObject({ code: 'unproven' })
    expect(room.events(other, 'handshake-refused')[0]!.reason).toContain(`${other.nodeId} has no key`)
    expect([core.table.get(other.nodeId), other.table.get(core.nodeId)]).toEqual([undefined, undefined])
  })
})

describe('two lives of one authority', () => {
  it('of one generation: the newcomer becomes somebody else, once', () => {
    const twin = coreOf(1, { nodeId: nodeIdOf(1, 1, 5) })
    const kept = core.nodeId
    room.contacts = (asker) => (asker === kept ? [] : [kept])
    const refused = twin.nodeId
    room.join(twin)
    room.until(() => agree([core, twin]), 'both are members')
    expect(core.nodeId).toBe(kept)
    expect(parseNodeId(twin.nodeId)!.authority).not.toBe(authorityOf(1))
    expect(room.events(twin, 'authority-conflict')).toMatchObject([
      { authority: authorityOf(1), kept, refused },
    ])
    room.run(120_000)
    expect(room.lives(core)).toEqual([kept])
    expect(room.lives(twin)).toEqual([refused, twin.nodeId])
  })

  it('that were both members of a room of two each: one stays', () => {
    const twin = coreOf(1, { nodeId: nodeIdOf(1, 1, 5) })
    const contacts = room.contacts
    room.join(twin)
    room.until(() => twin.status === 'up', 'alone as well')
    room.contacts = (asker, others) => (asker === twin.nodeId ? others : contacts(asker, others))
    room.feed(twin, { type: 'signaling-contacts', contacts: [core.nodeId] })
    room.until(() => agree([core, twin]), 'both are members')
    const authorities = [core, twin].map(({ nodeId }) => parseNodeId(nodeId)!.authority)
    expect(authorities.filter((authority) => authority === authorityOf(1))).toHaveLength(1)
    room.run(120_000)
    expect(room.lives(core).length + room.lives(twin).length).toBe(3)
  })

  it('of which the older one comes later: it becomes somebody else, and the newer one stays', () => {
    const newer = coreOf(2, { nodeId: nodeIdOf(2, 5) })
    const older = coreOf(2, { nodeId: nodeIdOf(2, 4) })
    room.contacts = (asker) => (asker === core.nodeId ? [] : [core.nodeId])
    room.join(newer)
    room.until(() => agree([core, newer]), 'the newer one is a member')
    const kept = newer.nodeId
    const refused = older.nodeId
    room.join(older)
    room.until(() => agree([core, newer, older]), 'all are members')
    expect(newer.nodeId).toBe(kept)
    expect(room.events(older, 'authority-conflict')).toMatchObject([{ kept, refused }])
    expect(room.events(core, 'authority-conflict')).toMatchObject([{ kept, refused }])
  })

  it('do not end by a refusal that names no newer life', () => {
    puppet.dial(core.nodeId)
    const before = core.nodeId
    for (const kept of [undefined, nodeIdOf(5, 9), nodeIdOf(1, 1), before]) {
      puppet.dial(core.nodeId)
      puppet.say({ kind: 'refuse', code: 'authority-conflict', reason: 'go away', kept })
      room.run(5)
    }
    expect(core.nodeId).toBe(before)
    expect(core.status).toBe('up')
  })
})
