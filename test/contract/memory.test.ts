import { describe, it } from 'vitest'
import { createBrowserClock } from '../../src/adapters/browser/clock.ts'
import { createMemoryNetwork } from '../../src/adapters/memory/network.ts'
import { linkTransportContract } from '../../src/testing/contract.ts'

const clock = createBrowserClock()

describe.each([0, 2])('links in memory with %d ms of latency', (latencyMs) => {
  const network = createMemoryNetwork({ latencyMs, clock })
  const contract = linkTransportContract({ transport: () => network.transport(), clock })
  for (const { name, run } of contract) it(name, run)
})
