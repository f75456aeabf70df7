/** What `npm run sim -- --help` prints. */
import { DEFAULT_FAULTS } from '../faults.ts'

const kinds = Object.keys(DEFAULT_FAULTS.weights).filter((kind) => kind !== 'meta' && kind !== 'peer-state')

export const HELP = `Runs the real core of Grainmesh in a simulated network, once for each seed.

  npm run sim -- [flags]                        a storm of mixed faults: are the invariants kept?
  npm run sim -- --scenario detection [flags]   crashes only: how soon are they seen, and who is accused wrongly?
  npm run sim -- --scenario overlay [flags]     a large room: does it stay whole, and what does it cost?

For all:
  --nodes N        members of the room    (default 20, for detection 100, for overlay 1000; from 1 to 2000)
  --seeds N        how many seeds to run  (default 50; for detection two for each hour; for overlay 8)
  --first N        the first of them               (default 1)
  --seed N         run this one seed and print what happens in it
  --max-links N    full mesh up to N + 1 members, up to N links above              (default 8)
  --trace          every event, line by line (with --seed: default; --no-trace turns it off)
  --workers N      worker threads                                 (default: one for each CPU)
  --help           this text

Storm: the room forms, rests, changes, goes through a storm of faults, is healed, and must agree again.
  --fault NAME     only this fault, beside what users change; may be given several times:
                   ${wrap(kinds, 19, 96)}
  --storm S        every storm lasts S seconds, and no quiet phases, which are for figures, come before it
                   (default: from 20 to 240 seconds, drawn from the seed)
  --grains MODE    members call grains in the storm, in place of messages: available or majority, as in the option
                   \`partition\`, the first without partitions, since each side of one goes on; or parted, the
                   first with partitions, where logs are merged and so have other places  (default none)
  --model NAME     core, or scalar: the one-version baseline                    (default core)
The exit code is 1 if an invariant was violated, 2 if a flag is wrong. The scalar model is expected to diverge: its
divergence is counted, and the exit code is 0.

Detection: round trips of 100 ms, 1% of packets lost. A member crashes about every 30 s, a third of them with their
links closing at once, two thirds in silence; each is followed by a newcomer. Nothing else fails.
  --hours H        hours of the room, over all seeds; parts allowed                (default 1)
  --throttled S    this share of the members gets one wake-up a second, from 0 to 1  (default 0)
  --throttle HOW   timers: their timers fire once a second, messages are handled when they come, as in hidden tabs;
                   slow: messages too are handled only once a second          (default timers)
  --model NAME     core, or plain-swim: no suspicion, one observer, no local health  (default both, side by side)
  --baseline S     plain SWIM runs this share of the rooms, at least one, from 0 to 1   (default 1)
  --max-false R    limit of the core's false unreachable per node-hour, upper 95% bound   (default none)
  --max-p99 MS     limit of the time until every other live member shows a crash, p99     (default none)
The exit code is 1 if a room did not form, a node threw, a crash was not seen by all, or the core is over a limit;
2 if a flag is wrong.

Overlay: a cluster that has formed rests, changes, and goes through one trouble; seeds take turns: 30% are lost at
once, 60% are lost at once, a partition into halves for 20 s, a small storm.
  --joins N        so many rooms more, in which all members join from nothing within 5 s   (default 0; with --seed, 1
                   makes that seed a crowd)
The exit code is 1 if an invariant was violated, a change took longer than 3 times the best possible to reach 99% of
the members, or a member at rest sent more than 1 KB/s; 2 if a flag is wrong.
`

function wrap(words: readonly string[], indent: number, width: number): string {
  const lines: string[] = []
  for (const word of words) {
    const last = lines.at(-1)
    if (last !== undefined && indent + last.length + word.length + 2 <= width)
      lines[lines.length - 1] = `${last}, ${word}`
    else lines.push(word)
  }
  return lines.join(`,\n${' '.repeat(indent)}`)
}
