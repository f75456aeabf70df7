/** What `npm run signaling` does, apart from the process it runs in. */
import { parseArgs } from 'node:util'
import { createSignalingServer } from './server.ts'

export const USAGE = `Usage: grainmesh-signaling [options]

Runs the Grainmesh signaling server: WebSocket on /, health on /healthz,
metrics on /metrics.

  --port <n>      port to listen on, 0 for any free one (default 8787)
  --host <name>   address to listen on; 0.0.0.0 for all of this machine (default 127.0.0.1)
  --origin <url>  allow pages of this origin only; may be repeated (default: all)
  --no-relay      carry no links for members that cannot connect to each other
  --fresh         no tab can be left from an earlier run: a tab that is alone need not wait for others
  --quiet         print nothing but errors
  --help          show this text

SIGTERM or SIGINT asks every tab to come back later, then stops; a second one stops at once.
`

/** Time that clients are given to close while the server stops, in ms. */
export const DRAIN_MS = 2_000

export interface CommandOutput {
  out(text: string): void
  err(text: string): void
}

export interface RunningCommand {
  readonly url: string
  stop(): Promise<void>
}

/** Resolves with what runs, or with the exit code where there is nothing to run. */
export async function runCommand(
  args: readonly string[],
  { out, err }: CommandOutput,
): Promise<RunningCommand | number> {
  const flags = parseFlags(args)
  if (typeof flags === 'string') {
    err(`grainmesh-signaling: ${flags}\nTry --help.`)
    return 2
  }
  if (flags.help) {
    out(USAGE)
    return 0
  }
  const say = flags.quiet ? () => undefined : out
  try {
    const server = createSignalingServer({
      log: say,
      relay: flags.relay,
      fresh: flags.fresh,
      ...(flags.origins.length === 0 ? {} : { origins: flags.origins }),
    })
    const { url, port } = await server.listen(flags.port, flags.host)
    say(`Signaling server: ${url}\nHealth: http://${displayHost(flags.host)}:${port}/healthz`)
    return { url, stop: () => server.close({ drain: DRAIN_MS }) }
  } catch (error) {
    err(`grainmesh-signaling: ${explain(error, flags)}`)
    return 1
  }
}

interface Flags {
  readonly port: number
  readonly host: string
  readonly origins: readonly string[]
  readonly relay: boolean
  readonly fresh: boolean
  readonly quiet: boolean
  readonly help: boolean
}

/** The flags, or one sentence on what is wrong with them. */
function parseFlags(args: readonly string[]): Flags | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        port: { type: 'string', default: '8787' },
        host: { type: 'string', default: '127.0.0.1' },
        origin: { type: 'string', multiple: true, default: [] },
        'no-relay': { type: 'boolean', default: false },
        fresh: { type: 'boolean', default: false },
        quiet: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    const { port, host, origin: origins, fresh, quiet, help } = values
    if (!/^[0-9]{1,5}$/.test(port) || Number(port) > 65_535) {
      return `--port must be a number from 0 to 65535, not ${JSON.stringify(port)}`
    }
    if (host === '') return '--host must not be empty'
    return { port: Number(port), host, origins, relay: !values['no-relay'], fresh, quiet, help }
  } catch (error) {
    return error instanceof Error ? (error.message.split('. ')[0] ?? error.message) : String(error)
  }
}

function explain(error: unknown, { port, host }: Flags): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return `port ${port} of ${host} is taken. Stop what listens there, or choose another with --port (0: any).`
    case 'EACCES':
      return `port ${port} needs more rights. Choose one above 1023 with --port.`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${JSON.stringify(host)} is no address of this machine. Use 127.0.0.1, or 0.0.0.0 for all, with --host.`
    default:
      return error instanceof Error ? error.message : String(error)
  }
}

const displayHost = (host: string): string => (host.includes(':') ? `[${host}]` : host)
