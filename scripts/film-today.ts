/** Today's film as a picture: counters and states as the simulation has them. */

import type { Digits } from '../src/film/digits'
import { approxifer, type Band, Film, hedgedQueue, plainQueue } from '../src/film/film'
import { faultWords, SCRIPT, wordsOfAct } from '../src/film/script'
import { type FilmedBand, filmPicture, type Shown } from './film-picture'

/** Of the loop, and between two looks at the counters, milliseconds. */
const [LENGTH_MS, LOOK_MS] = [14_000, 50]

const counters = [
  {
    label: 'slowest answer',
    of: (band: Band) => `${(band.slowestMs / 1000).toFixed(1)} s`,
    isBad: (band: Band) => band.slowestMs > 1000,
  },
  { label: 'wrong or no answer', of: (band: Band) => String(band.wrong), isBad: (band: Band) => band.wrong > 0 },
  { label: 'inferences an answer', of: (band: Band) => band.inferences.toFixed(1), isBad: () => false },
]

/** @returns the SVG */
export async function filmed(digits: Digits): Promise<string> {
  const film = await Film.of(digits, [plainQueue, hedgedQueue(), approxifer])
  film.play(SCRIPT)
  const seen = film.bands.map(() => counters.map(() => [] as Shown[]))
  for (let at = 0; at < LENGTH_MS; at += LOOK_MS) {
    await film.advance(at)
    for (const [i, band] of film.bands.entries()) {
      for (const [j, { of, isBad }] of counters.entries()) {
        const [values, text] = [seen[i][j], of(band)]
        const last = values.at(-1)
        const kind = isBad(band) ? 'lie' : ''
        if (last?.text === text) values[values.length - 1] = { ...last, until: at + LOOK_MS }
        else values.push({ from: at, until: at + LOOK_MS, text, kind })
      }
    }
  }
  await film.advance(LENGTH_MS)
  const [plain, hedged, ours] = film.bands
  const bandOf = (band: Band, title: string, about: string): FilmedBand => {
    const states = band.machines.map((_, machine) => {
      const out = band.ejected.get(machine)
      const said = SCRIPT.filter((act) => act.machine === machine).map(({ at, fault }) => {
        return {
          from: at,
          until: out ?? LENGTH_MS,
          text: band === ours && fault === 'hung' ? 'hangs: avoided' : faultWords[fault],
          kind: fault === 'lying' ? 'lie' : 'late',
        }
      })
      return out ? [...said, { from: out, until: LENGTH_MS, text: 'lied: out', kind: 'lie' }] : said
    })
    const i = film.bands.indexOf(band)
    return {
      title,
      about,
      band,
      states,
      hasMemory: band === ours,
      counters: counters.map(({ label }, j) => ({ label, values: seen[i][j] })),
    }
  }
  const svg = filmPicture({
    images: digits.images,
    length: LENGTH_MS,
    acts: SCRIPT.map((act) => ({ at: act.at, text: wordsOfAct(act) })),
    bands: [
      bandOf(plain, 'A plain queue', 'a time-out of a second, one retry'),
      { ...bandOf(hedged, 'Hedged by hand', 'asks another machine after the 95th percentile'), states: [] }, // its counters tell enough
      bandOf(ours, 'approxifer', 'a second machine, or a prediction from earlier answers, confirms'),
    ],
    conclusion: ['On the same machines a hedge mends what hangs, with fewer inferences. It hands out what lies.'],
  })
  await film.close()
  return svg
}
