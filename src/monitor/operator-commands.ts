import type { Worker } from '../pipeline/worker.ts'
import type { Logger } from '../runtime/log.ts'
import { type HttpAnswer, type HttpCommands, jsonAnswer } from './http.ts'

/** Pauses and resumes a worker, or with `?topic=…` some topics: `POST /pause`, `POST /resume`. */
export function operatorCommands(
  token: string,
  worker: Pick<Worker, 'pause' | 'resume' | 'paused' | 'topics'>,
  log: Logger,
): HttpCommands {
  const carryOut = (command: 'pause' | 'resume', query: URLSearchParams): HttpAnswer => {
    const topics = query.getAll('topic')
    const unknown = topics.filter((topic) => !worker.topics.includes(topic))
    const others = [...query.keys()].filter((name) => name !== 'topic')
    if (others.length > 0) return refused(400, `there is no parameter ${others[0]}, only topic`)
    if (unknown.length > 0) return refused(404, `this worker has no topic ${unknown.join(', ')}`)
    if (command === 'resume' && topics.length > 0 && worker.paused.isWhole)
      return refused(409, 'the worker as a whole is paused: resume it without a topic')
    worker[command](topics)
    const { isWhole, topics: left } = worker.paused
    const about = topics.length === 0 ? {} : { topics }
    if (command === 'pause')
      log.warn({ event: 'operator_paused', ...about }, 'an operator paused reading')
    else log.warn({ event: 'operator_resumed', ...about }, 'an operator resumed reading')
    return jsonAnswer(200, { paused: isWhole, paused_topics: left })
  }
  return {
    token,
    routes: {
      '/pause': (query) => carryOut('pause', query),
      '/resume': (query) => carryOut('resume', query),
    },
  }
}

function refused(status: number, why: string): HttpAnswer {
  return { status, type: 'text/plain', body: `${why}\n` }
}
