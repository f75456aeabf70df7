/** What each network address has used, so that one address cannot use up the server. */
import type { SignalingLimits } from './limits.ts'
import { TokenBucket } from './token-bucket.ts'

/** One address's share. */
export interface AddressShare {
  /** Open connections, refused ones included until their socket is closed. */
  connections: number
  readonly connects: TokenBucket
  readonly frames: TokenBucket
  readonly bytes: TokenBucket
  readonly relayed: TokenBucket
}

export class Addresses {
  private readonly limits: SignalingLimits
  private readonly shares = new Map<string, AddressShare>()

  constructor(limits: SignalingLimits) {
    this.limits = limits
  }

  get size(): number {
    return this.shares.size
  }

  /** The share of an address, made where there is none. */
  share(address: string, now: number): AddressShare {
    const key = addressKey(address)
    const known = this.shares.get(key)
    if (known) return known
    const share: AddressShare = {
      connections: 0,
      connects: new TokenBucket(this.limits.connectsPerAddress, now),
      frames: new TokenBucket(this.limits.framesPerAddress, now),
      bytes: new TokenBucket(this.limits.bytesPerAddress, now),
      relayed: new TokenBucket(this.limits.relayBytesPerAddress, now),
    }
    this.shares.set(key, share)
    return share
  }

  /** Forgets the addresses that a new share would treat the same. */
  sweep(now: number): void {
    for (const [key, { connections, connects, frames, bytes, relayed }] of this.shares) {
      const buckets = [connects, frames, bytes, relayed]
      if (connections === 0 && buckets.every((bucket) => bucket.isFull(now))) this.shares.delete(key)
    }
  }
}

/**
 * What counts as one address: an IPv4 address, also when written as IPv6; of an IPv6 address its first 64 bits,
 * since whoever has one of a /64 has them all. Anything else stands for itself.
 */
export function addressKey(address: string): string {
  const mapped = /^::ffff:([0-9.]+)$/i.exec(address)
  if (mapped?.[1]) return mapped[1]
  if (!address.includes(':')) return address
  const [head = '', tail] = (address.split('%')[0] ?? '').toLowerCase().split('::')
  const groups = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  if (tail !== undefined) while (groups.length + after.length < 8) groups.push('0')
  return `${[...groups, ...after]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}
