import { runCommand } from './command.ts'

const running = await runCommand(process.argv.slice(2), { out: console.log, err: console.error })

if (typeof running === 'number') {
  process.exitCode = running
} else {
  let stopping = false
  const stop = (): void => {
    if (stopping) process.exit(1)
    stopping = true
    void running.stop().then(() => process.exit(0))
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}
