import { expect, it } from 'vitest'
import { drawn, type Schedule } from './schedule'
import { shrunk } from './shrink'

it('a schedule is cut down to the queries that it takes, which one caller asks for together', async () => {
  const schedule = drawn(3, 60)
  const rowsOf = ({ events }: Schedule) => events.flatMap((event) => (event.what === 'ask' ? [event.row, ...(event.more ?? [])] : [])).map(String) // biome-ignore format: one line
  const wanted = [11, 47].map((query) => rowsOf(schedule)[query])
  let tries = 0
  const small = await shrunk(schedule, async (each) => {
    tries++
    return wanted.every((row) => rowsOf(each).includes(row))
  })
  expect([small.events.length, rowsOf(small)]).toEqual([1, wanted])
  expect(small.machines.length).toBeLessThan(schedule.machines.length)
  expect(tries).toBeLessThan(300)
})
