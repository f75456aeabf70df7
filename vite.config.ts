import { defineConfig } from 'vitest/config'
import { signalingInDev } from './scripts/support/signaling-in-dev.mjs'

/** Set by `npm run test:full`: tests run all of what they otherwise sample. */
const full = process.env['GRAINMESH_FULL'] === '1'

export default defineConfig({
  plugins: [signalingInDev()],
  server: { host: '127.0.0.1' },
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: full ? 15 * 60_000 : 60_000,
    hookTimeout: full ? 15 * 60_000 : 120_000,
    // by default one core is left to whoever looks on, which is half of a machine with two
    maxWorkers: '100%',
    // what one test replaces must not be there in the next
    restoreMocks: true,
    unstubGlobals: true,
  },
})
