/**
 * The mutual hello on a new link. Each side says who it is, which wire versions it speaks, its own record and hashes
 * of what it knows; proves it with its key (see `proof.ts`); and answers the other's proof with `accept`, or with a
 * `refuse` that names the reason. A link counts once both accepted. Nothing but these frames is read before, and
 * nothing that the other side said is used before its proof is good.
 *
 * A browser may lose the first message on a link: what the answering end says before the calling end knows that its
 * channel is open. Whoever misses a hello says its own again, which asks for the other's; each end does so once.
 *
 * A member that has a key demands a proof from everybody. One that has none, since its page has no secure context,
 * neither gives nor demands one and links only to members that have none either.
 */
import type { Fingerprints, LinkId, RefusalCode } from '../events.ts'
import type { Authority, NodeId } from '../identity/node-id.ts'
import { compareLives, parseNodeId } from '../identity/node-id.ts'
import { ALL_BUCKETS, digestOf, rangeOf } from '../membership/digest.ts'
import type { Memory } from './memory.ts'
import type { MembershipTable } from '../membership/table.ts'
import type { Random } from '../time.ts'
import type { Limits } from '../tuning.ts'
import type { DigestEntry, Frame } from '../wire/frames.ts'
import { WIRE_MAX, WIRE_MIN } from '../wire/frames.ts'
import type { Greeting } from './gossip.ts'
import { SMALL_TABLE } from './gossip.ts'
import { createNonce, isSameNonce, proofBytes } from './proof.ts'

export type HelloFrame = Extract<Frame, { kind: 'hello' }>
export type HandshakeFrame = Extract<Frame, { kind: 'hello' | 'proof' | 'accept' | 'refuse' }>

/** What a frame led to. */
export type HandshakeStep =
  /** A hello is missing, here or there: say this one again. */
  | { readonly type: 'repeat'; readonly hello: HelloFrame }
  /** Their hello is good so far: sign this, and send it as `proof`. */
  | { readonly type: 'sign'; readonly bytes: Uint8Array }
  /** Their proof came: have it checked. */
  | {
      readonly type: 'verify'
      readonly publicKey: Uint8Array
      readonly authority: Authority
      readonly bytes: Uint8Array
      readonly signature: Uint8Array
    }
  /** They are who they say: answer with `accept`. */
  | { readonly type: 'introduced'; readonly hello: HelloFrame }
  | { readonly type: 'accepted' }
  /** They are another life of the own authority, to which this one leaves the field. */
  | { readonly type: 'yield'; readonly reason: string; readonly kept: NodeId }
  /** They are refused: answer with `refuse`, close. `kept` is the life that stays, in a conflict. */
  | { readonly type: 'refuse'; readonly code: RefusalCode; readonly reason: string; readonly kept?: NodeId }
  | {
      readonly type: 'refused'
      readonly code: RefusalCode
      readonly reason: string
      readonly kept: NodeId | undefined
    }
  | { readonly type: 'malformed'; readonly reason: string }

/** What both sides said, once both have accepted. */
export interface Acquaintance {
  readonly hello: HelloFrame
  readonly greeted: Greeting
}

interface Progress {
  readonly nodeId: NodeId
  readonly greeted: Greeting
  readonly said: HelloFrame
  readonly fingerprints: Fingerprints | undefined
  hasRepeated: boolean
  hello: HelloFrame | undefined
  /** Their proof came before their hello. */
  early: Uint8Array | undefined
  /** Their proof came; it is being checked, or was. */
  proven: boolean
  introduced: boolean
  accepted: boolean
}

export interface HandshakeOptions {
  readonly cluster: string
  /** Empty for a member without a key. */
  readonly publicKey: Uint8Array
  readonly table: MembershipTable
  readonly limits: Limits
  readonly memory: Memory
  readonly random: Random
}

export class Handshakes {
  readonly #cluster: string
  readonly #publicKey: Uint8Array
  readonly #table: MembershipTable
  readonly #limits: Limits
  readonly #memory: Memory
  readonly #random: Random
  readonly #links = new Map<LinkId, Progress>()

  constructor({ cluster, publicKey, table, limits, memory, random }: HandshakeOptions) {
    this.#cluster = cluster
    this.#publicKey = publicKey
    this.#table = table
    this.#limits = limits
    this.#memory = memory
    this.#random = random
  }

  /** The channel to `nodeId` is open. Returns the hello to send. */
  begin(linkId: LinkId, nodeId: NodeId, fingerprints: Fingerprints | undefined): HelloFrame {
    const table = this.#table
    const memory = this.#memory
    const isOffered = memory.offerOver(linkId)
    // Whoever is not asked about the memory is not told either that nothing is known: it would send everything.
    const isPending = !isOffered && !memory.isEmpty
    const digest: DigestEntry[] | undefined =
      table.size <= SMALL_TABLE && !isPending ? digestOf(table, ALL_BUCKETS) : undefined
    const greeted = { saidAll: digest !== undefined, revision: table.log.revision }
    const said: HelloFrame = {
      kind: 'hello',
      minVersion: WIRE_MIN,
      maxVersion: WIRE_MAX,
      cluster: this.#cluster,
      nodeId: table.own,
      nonce: createNonce(this.#random),
      publicKey: this.#publicKey,
      own: rangeOf(table.get(table.own)!, 0),
      buckets: isPending ? memory.buckets(table) : table.hash.buckets,
      digest,
      remembered: isOffered ? memory.buckets(table) : undefined,
    }
    this.#links.set(linkId, {
      nodeId,
      greeted,
      said,
      fingerprints,
      hasRepeated: false,
      hello: undefined,
      early: undefined,
      proven: false,
      introduced: false,
      accepted: false,
    })
    return said
  }

  isDone(linkId: LinkId): boolean {
    const progress = this.#links.get(linkId)
    return progress?.hello !== undefined && progress.introduced && progress.accepted
  }

  /** `undefined` until both have accepted. Each of the two knows it before the other's first frame of gossip. */
  acquaintance(linkId: LinkId): Acquaintance | undefined {
    const progress = this.#links.get(linkId)
    if (!progress?.hello || !progress.introduced || !progress.accepted) return undefined
    return { hello: progress.hello, greeted: progress.greeted }
  }

  end(linkId: LinkId): void {
    this.#links.delete(linkId)
  }

  receive(linkId: LinkId, frame: HandshakeFrame): HandshakeStep {
    const progress = this.#links.get(linkId)
    if (!progress) return { type: 'malformed', reason: `${frame.kind} on a link that is not open` }
    switch (frame.kind) {
      case 'hello':
        return this.#onHello(progress, frame)
      case 'proof':
        return this.#onProof(progress, frame.signature)
      case 'accept':
        if (progress.accepted) return { type: 'malformed', reason: 'accept came twice' }
        if (frame.version < WIRE_MIN || frame.version > WIRE_MAX) {
          return { type: 'malformed', reason: `wire version ${frame.version} was accepted but never offered` }
        }
        progress.accepted = true
        // Where nobody has keys, it is what comes next after a hello.
        if (!progress.hello && !progress.hasRepeated) return this.#repeat(progress)
        return { type: 'accepted' }
      case 'refuse':
        if (progress.accepted) return { type: 'malformed', reason: 'refuse came after accept' }
        return { type: 'refused', code: frame.code, reason: frame.reason, kept: frame.kept }
    }
  }

  /** The step for a proof that came before the hello that has come now. */
  takeEarly(linkId: LinkId): HandshakeStep | undefined {
    const progress = this.#links.get(linkId)
    if (!progress?.early || !progress.hello) return undefined
    const { early } = progress
    progress.early = undefined
    return this.#onProof(progress, early)
  }

  /** The check of their proof is done. `undefined` where the link has ended meanwhile. */
  verified(linkId: LinkId, ok: boolean): HandshakeStep | undefined {
    const progress = this.#links.get(linkId)
    if (!progress?.hello || !progress.proven || progress.introduced) return undefined
    if (ok) return this.#introduce(progress, progress.hello)
    const { authority } = parseNodeId(progress.nodeId)!
    const reason = `the proof that this is ${authority} is wrong, or somebody sits between the two ends`
    return { type: 'refuse', code: 'unproven', reason }
  }

  #onHello(progress: Progress, hello: HelloFrame): HandshakeStep {
    if (progress.hello) return this.#onHelloAgain(progress, progress.hello, hello)
    if (hello.nodeId !== progress.nodeId || hello.nodeId === this.#table.own) {
      return { type: 'malformed', reason: `${hello.nodeId} answered on a link to ${progress.nodeId}` }
    }
    if (hello.cluster !== this.#cluster) {
      const reason = `this is cluster "${this.#cluster}", not "${hello.cluster}"`
      return { type: 'refuse', code: 'cluster-mismatch', reason }
    }
    if (!hello.own) {
      const spoken = (min: number, max: number) => (min === max ? `${min}` : `${min} to ${max}`)
      const here = spoken(WIRE_MIN, WIRE_MAX)
      const there = spoken(hello.minVersion, hello.maxVersion)
      const reason = `no wire version is shared: ${here} here, ${there} there; reload the older page`
      return { type: 'refuse', code: 'schema-mismatch', reason }
    }
    const [hasKey, theyHaveKey] = [this.#publicKey.length > 0, hello.publicKey.length > 0]
    if (hasKey !== theyHaveKey) {
      const without = hasKey ? hello.nodeId : this.#table.own
      const reason = `${without} has no key to prove who it is; its page must be served over https or from localhost`
      return { type: 'refuse', code: 'unproven', reason }
    }
    progress.hello = hello
    if (!hasKey) return this.#introduce(progress, hello)
    return { type: 'sign', bytes: this.#bytes(progress, hello, 'own') }
  }

  #onHelloAgain(progress: Progress, first: HelloFrame, again: HelloFrame): HandshakeStep {
    const isSame = isSameNonce(again.nonce, first.nonce)
    // Whoever has proven itself, or accepted, has heard the hello here.
    const mayLack = !progress.hasRepeated && !progress.proven && !progress.accepted
    return isSame && mayLack ? this.#repeat(progress) : { type: 'malformed', reason: 'hello came twice' }
  }

  #repeat(progress: Progress): HandshakeStep {
    progress.hasRepeated = true
    return { type: 'repeat', hello: progress.said }
  }

  #onProof(progress: Progress, signature: Uint8Array): HandshakeStep {
    const { hello } = progress
    if (!hello) {
      if (progress.hasRepeated) return { type: 'malformed', reason: 'proof before the hello' }
      progress.early = signature
      return this.#repeat(progress)
    }
    if (progress.proven || progress.introduced)
      return { type: 'malformed', reason: 'proof was not asked for' }
    progress.proven = true
    const { publicKey, nodeId } = hello
    const { authority } = parseNodeId(nodeId)!
    return {
      type: 'verify',
      publicKey,
      authority,
      bytes: this.#bytes(progress, hello, 'other'),
      signature,
    }
  }

  #bytes(
    { said: { nonce }, fingerprints }: Progress,
    hello: HelloFrame,
    signer: 'own' | 'other',
  ): Uint8Array {
    const own = { nodeId: this.#table.own, nonce, publicKey: this.#publicKey }
    return proofBytes({ cluster: this.#cluster, own, other: hello, fingerprints }, signer)
  }

  #introduce(progress: Progress, hello: HelloFrame): HandshakeStep {
    const refusal = this.#judge(hello)
    if (refusal) return refusal
    progress.introduced = true
    return { type: 'introduced', hello }
  }

  /**
   * Whether this life may be in the cluster, as far as this member knows. Beside another life of its authority it may
   * if its generation is higher; of equal ones the newcomer is refused.
   */
  #judge(hello: HelloFrame): HandshakeStep | undefined {
    const { nodeId } = hello
    const parts = parseNodeId(nodeId)!
    const known = this.#table.get(nodeId)
    const current = this.#table.currentLife(parts.authority)
    if (current !== undefined && current !== nodeId) {
      const { generation } = parseNodeId(current)!
      if (parts.generation < generation) {
        const reason = `a newer life of ${parts.authority} is here: ${current}`
        return { type: 'refuse', code: 'authority-conflict', reason, kept: current }
      }
      if (parts.generation === generation) {
        const reason = `another life of ${parts.authority} with the same generation is here: `
        if (current === this.#table.own && this.#yieldsTo(hello)) {
          return { type: 'yield', reason: reason + nodeId, kept: nodeId }
        }
        return { type: 'refuse', code: 'authority-conflict', reason: reason + current, kept: current }
      }
    }
    if (known?.status === 'removed' || !this.#table.admissible(parts)) {
      return {
        type: 'refuse',
        code: 'removed',
        reason: 'this life was removed; go on as the next generation',
      }
    }
    const newest = this.#table.newestLife(parts.authority)
    if (newest !== undefined && compareLives(parts, parseNodeId(newest)!) < 0) {
      const reason = `a newer life of ${parts.authority} was here: ${newest}`
      return { type: 'refuse', code: 'removed', reason }
    }
    if (!known && this.#table.size >= this.#limits.members) {
      return {
        type: 'refuse',
        code: 'table-full',
        reason: `the table is full (${this.#limits.members} records)`,
      }
    }
    return undefined
  }

  /**
   * Of two lives with one generation that meet, the newcomer gives way, else the one that every table would give up.
   * Both ends decide the same without hearing each other's refusal.
   */
  #yieldsTo({ nodeId, own }: HelloFrame): boolean {
    const isNewcomer = this.#table.get(this.#table.own)!.self?.status === 'joining'
    const areThey = own?.self?.status === 'joining'
    if (isNewcomer !== areThey) return isNewcomer
    return compareLives(parseNodeId(nodeId)!, parseNodeId(this.#table.own)!) > 0
  }
}
