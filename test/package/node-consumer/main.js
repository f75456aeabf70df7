// Runs what the compiler made of the two TypeScript files, and prints what they found.
import { joined, refusal, simulated } from './built/library.js'
import { run, serve } from './built/server.js'

console.log(
  JSON.stringify({
    window: typeof window,
    invalid: await refusal({ signaling: 'not a url' }),
    withoutWebRtc: await refusal({ signaling: 'ws://127.0.0.1:1/' }),
    simulated: simulated(1),
    joined: await serve(joined),
    port: await run(),
  }),
)
