import { describe, expect, test } from 'vitest'
import { Addresses, addressKey } from '../../signaling-server/addresses.ts'
import { createSignalingServer } from '../../signaling-server/index.ts'
import { DEFAULT_SIGNALING_LIMITS as LIMITS, resolveLimits } from '../../signaling-server/limits.ts'
import { TokenBucket } from '../../signaling-server/token-bucket.ts'

describe('token bucket', () => {
  test('gives its burst at once, then its rate', () => {
    const bucket = new TokenBucket({ burst: 3, perSecond: 2 }, 0)
    expect([1, 1, 1, 1].map((cost) => bucket.take(cost, 0))).toEqual([true, true, true, false])
    expect([499, 500, 501].map((now) => bucket.take(1, now))).toEqual([false, true, false])
    expect(bucket.take(3, 60_000)).toBe(true)
    expect(bucket.take(0.1, 60_000)).toBe(false)
  })

  test('what is refused costs nothing, and a clock that stands still gives nothing', () => {
    const bucket = new TokenBucket({ burst: 10, perSecond: 1 }, 100)
    expect(bucket.take(11, 100)).toBe(false)
    expect(bucket.take(10, 50)).toBe(true)
    expect(bucket.isFull(100)).toBe(false)
    expect(bucket.isFull(10_100)).toBe(true)
  })

  test('the default limits let 32 tabs of one address join at once and stop a flood', () => {
    const share = new Addresses(LIMITS).share('10.0.0.1', 0)
    const tabs = Array.from({ length: 32 }, () => ({
      frames: new TokenBucket(LIMITS.framesPerConnection, 0),
      bytes: new TokenBucket(LIMITS.bytesPerConnection, 0),
    }))
    const pay = (tab: (typeof tabs)[number], bytes: number, now: number): boolean =>
      tab.frames.take(1, now) &&
      tab.bytes.take(bytes, now) &&
      share.frames.take(1, now) &&
      share.bytes.take(bytes, now)
    let refused = 0
    // 31 offers or answers of 3 KB at once, then ten candidates for each of the 31 others within half a minute.
    for (const tab of tabs) {
      expect(share.connects.take(1, 0)).toBe(true)
      for (let other = 0; other < 31; other++) if (!pay(tab, 3_000, 0)) refused++
    }
    for (let round = 0; round < 10; round++) {
      for (const tab of tabs)
        for (let other = 0; other < 31; other++) if (!pay(tab, 300, round * 3_000)) refused++
    }
    expect(refused).toBe(0)

    const flooder = tabs[0]!
    let accepted = 0
    for (let ms = 0; ms < 1_000; ms++) {
      for (let i = 0; i < 100; i++) if (pay(flooder, 100, 30_000 + ms)) accepted++
    }
    expect(accepted).toBeLessThanOrEqual(1_050)
  })
})

describe('addresses', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['::ffff:192.168.0.7', '192.168.0.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:0001:0002::9', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['unknown', 'unknown'],
  ])('%s counts as %s', (address, key) => {
    expect(addressKey(address)).toBe(key)
  })

  test('an address is forgotten when nobody is connected and its share is whole again', () => {
    const addresses = new Addresses(LIMITS)
    const share = addresses.share('10.0.0.1', 0)
    share.connections++
    share.frames.take(1_000, 0)
    addresses.sweep(5_000)
    share.connections--
    addresses.sweep(500)
    expect(addresses.size).toBe(1)
    expect(addresses.share('10.0.0.1', 500)).toBe(share)
    addresses.sweep(1_001)
    expect(addresses.size).toBe(0)
  })
})

describe('options', () => {
  test('every wrong one is named', () => {
    const create = () =>
      createSignalingServer({
        path: 'signaling',
        contacts: 17,
        retryMs: -1,
        origins: ['example.com', 'https://ok.example'],
        limits: {
          pingMs: 0,
          payloadBytes: 1e9,
          framesPerAddress: { burst: 1, perSecond: -1 },
          helloMs: 1e12,
        },
      })
    expect(create).toThrow(TypeError)
    const problems = [
      'path must begin with / and have no ? or #, not "signaling"',
      'contacts must be an integer from 0 to 16',
      'retryMs must be an integer from 0 to 60000',
      'origins: "example.com" is no origin such as https://app.example.com',
      'limits.pingMs must be a number above 0',
      'limits.payloadBytes must be at most 65536, which the protocol allows',
      'limits.framesPerAddress must be { burst, perSecond }, both above 0',
      'limits.helloMs must be at most 2147483647 ms',
    ]
    expect(create).toThrow(`createSignalingServer: ${problems.join('; ')}`)
  })

  test('an unknown limit is named with those that are known', () => {
    const given = { pingsMs: 1 } as object
    expect(resolveLimits(given).problems).toEqual([
      `limits.pingsMs is not a limit; the limits are ${Object.keys(LIMITS).join(', ')}`,
    ])
  })

  test('undefined means the default', () => {
    const given = { helloMs: undefined, pingMs: 5 } as object
    expect(resolveLimits(given)).toEqual({ limits: { ...LIMITS, pingMs: 5 }, problems: [] })
  })
})
