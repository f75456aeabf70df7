import { describe, it } from 'vitest'
import { createBrowserClock } from '../../src/adapters/browser/clock.ts'
import { linkTransportContract } from '../../src/testing/contract.ts'
import { createCarrier, relayAsTransport } from '../adapters/relay-carrier.ts'

describe('relayed links', () => {
  const clock = createBrowserClock()
  const carrier = createCarrier()
  const transport = () => relayAsTransport(carrier, { clock })
  for (const { name, run } of linkTransportContract({ transport, clock })) it(name, run)
})
