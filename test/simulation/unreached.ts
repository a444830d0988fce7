/**
 * Branches of the decisions that the exploration never takes, and why: of each its file, function and code as V8 tells them. One that is
 * not here is missed by every order of events, and nobody knew.
 */

const reasons = {
  time: 'fewer than ten answers say nothing of what is late: the simulation has hedges',
  memory: 'it has no memory, so nothing is looked up, checked or recovered: the simulation has one',
  audits: 'audits are off, since they draw lots: the simulation has them',
  policy: 'its callers have one policy: test/query/policy.test.ts tries all',
  saved: 'nothing is saved and loaded: test/trust does it',
  model: 'its model stays the same: the simulation replaces it',
  long: 'who is ejected is readmitted after 20 right answers, which takes more than twelve events: the simulation has them',
  plain: 'its workers can be reached and have one slot, and nobody restarts them: the simulation has others',
  few: 'one of five may lie, and four are enough: test/trust has pools where too few are left',
  groups: 'where some may lie no query is in a group: the simulation has runs where nobody does',
  clones: 'there are no hedges and clones, and an abort frees no worker: the simulation and test/query have them',
  told: 'what is told where nobody can be asked, or for figures: test/pool has it',
  many: 'it takes a thousand of them: test/pool has it',
  over: 'a query that is proven has its answer, and nobody asks what it lacks: it says so to who would',
  room: 'no worker is short of room, and no deadline is near: test/query and test/pool have both',
  taught: 'it learns, though it has no memory: test/query/query.test.ts has a vote of who does not',
  slots: 'its workers have one slot, and get nothing while one is being submitted: test/query/inquiry.test.ts has it',
  shrinks: 'it takes more queries than there are workers, of which some leave: the simulation has them',
  deep: 'it takes more than six events',
  open: 'who may join is chosen: test/trust and the simulation have fleets that anybody may join',
  voted:
    'where some may lie what is left is judged anew, and where nobody may nobody is ejected: test/trust/sampling.test.ts has it',
  scales: 'its outputs are numbers of one length: test/query/equality.test.ts has others',
  tells:
    'all machines tell how large answers are, in numbers, and none is the user’s own: test/trust/told-scales.test.ts and asked-scales.test.ts have others',
}

type Why = keyof typeof reasons

// biome-ignore format: a line each
const unreached: Record<string, Why> = {
  'query/policy checkPolicy: const where="byzantine > 0, where one answer proves nothing";throw new RangeErro': 'policy',
  'query/policy defaultPolicy: :"recover"': 'policy',
  'query/policy next: ?underWay(facts,now)': 'time',
  'query/policy lookUp: :WAIT': 'memory',
  'query/policy isRecovered: &&isConfident(policy,minConfidence,recovery.confidence)': 'memory',
  'query/policy unasked: return{action:"recover"};': 'memory',
  'query/policy unasked: &&policy==="recover"': 'groups',
  'query/policy unasked: return WAIT;': 'groups',
  'query/policy next: return atDeadline(facts);': 'deep',
  'query/policy unpaced: &&lookUp(facts)': 'memory',
  'query/policy unpaced: return now>=hedgeAt?{action:"hedge"}:{action:"wait",again:hedgeAt};': 'clones',
  'query/policy unpaced: return looks;': 'memory',
  'query/policy unpaced: return{action:"recover"};': 'memory',
  'trust/evidence Evidence: ?other.#workers': 'model',
  'trust/evidence Evidence: ?other.#left': 'model',
  'trust/evidence leave: this.#left.add(worker);let[first]=this.#left;if(this.#left.size<=MOST_LEFT)retur': 'deep',
  'trust/evidence audits: audits(worker,usual){return this.isSuspect(worker)?Math.max(CLOSELY,usual):usual': 'audits',
  'trust/evidence proven: record.suspicion=record.deviation=0;return true': 'long',
  'trust/evidence checked: checked(worker,passed,distance){const record=this.#record(worker);if(passed)reco': 'memory',
  'trust/evidence renew: renew(){this.renewals++;this.#distance={count:0,mean:0,vari': 'model',
  'trust/evidence save: save(){const workers=structuredClone(Object.fromEntries(this.#workers));for(cons': 'saved',
  'trust/reputation audits: return false;': 'audits',
  'trust/reputation audits: ?this.evidence.audits(identityOf(worker),this.#audit)': 'audits',
  'trust/reputation compare: compare(payload,answered,_all=answered){if(!this.#audit||answered.length>2)retur': 'audits',
  'trust/reputation isSuspected: isSuspected(worker){return this.evidence.isSuspect(identityOf(worker))}': 'memory',
  'trust/reputation proven: if(this.#ejects)this.#pool.readmit(identity);this.tell(worker,"readmitted")': 'long',
  'trust/reputation follow: ?"readmit"': 'long',
  'trust/reputation checked: checked(worker,passed,distance){const identity=identityOf(worker);this.evidence.': 'memory',
  'trust/reputation resume: this.tidy(identity);': 'saved',
  'trust/reputation resume: :[]': 'saved',
  'trust/reputation resume: this.#pool.eject(identity)': 'saved',
  'trust/reputation lied: return this.tell(worker,"kept");': 'few',
  'trust/reputation restart: ?.("gave an answer that was proven wrong")': 'plain',
  'trust/reputation restart: catch{}': 'plain',
  'query/equality : return isEqual(a.tensors[i].data,b.tensors[i].data);': 'scales',
  'query/equality isNearIn: return isEqual(own,other)||isTie(output,a,b,equality);': 'scales',
  'query/equality isNearIn: return false;': 'scales',
  'query/equality : return true;': 'scales',
  'query/equality isShapedAs: ||String(own)===String(other)': 'scales',
  'query/equality isWithin: &&off<=-share*larger': 'scales',
  'query/equality : return false;': 'tells',
  'query/equality : return!isNearIn(i,answer,right,equality);': 'scales',
  'query/equality : &&judged[i]?.right.kind!=="label"': 'tells',
  'query/equality : ??0': 'tells',
  'trust/scales standards: :[]': 'deep',
  'trust/scales : ??0': 'deep',
  'trust/scales standards: ?own': 'tells',
  'trust/scales sane: :0': 'tells',
  'trust/scales heard: ()=>{}': 'tells',
  'trust/scales get isAsking: get isAsking(){return this.known.includes(0)&&this.asking.': 'tells',
  'trust/scales found: votes.push([]);': 'tells',
  'trust/scales toldBy: ??this.answered.get(identity)??(isSilent?[]:void 0)': 'tells',
  'trust/scales ask: {if(this.asking.size<=wanted)break;if(attempt.phase==="que': 'tells',
  'trust/scales ask: {const payload=new Payload(probeQuery(this.signature));con': 'tells',
  'trust/scales : each=>this.pool.identities.isUsable(each)': 'tells',
  'trust/scales blocks: blocks(identity){return!this.silent.has(identity)||Array.f': 'tells',
  'trust/scales changed: if(!this.pool.identities.workersOf(identity).length)all.de': 'tells',
  'trust/reputation isMeasuring: isMeasuring(look){this.equal.scales.heard=look;return this': 'tells',
  'trust/scales settled: settled(attempt){const asked=attempt;const{outcome,identit': 'tells',
  'trust/scales renew: renew(){for(const attempt of this.asking)this.pool.cancel(': 'model',
  'trust/reputation renew: renew(){this.equal.scales.renew();this.evidence.renew()}': 'model',
  'query/equality isWithin: return false;': 'scales',
  'query/asked isForgivable: ||outcome.error.code==="OVERLOADED"': 'room',
  'query/asked refusalOf: &&outcome?.kind==="failed"&&outcome.error.code==="OVERLOADED"?outcome.error': 'room',
  'query/asked get isLost: get isLost(){return!this.asked.some(asked=>isLive(asked)&&!asked.isVoid)}': 'groups',
  'query/asked ask: &&this.#pool.utilisation>IDLE': 'clones',
  'query/asked blocks: ?.worker': 'slots',
  'query/asked blocks: &&identityOf(worker)===identity': 'slots',
  'query/asked blocks: return true;': 'slots',
  'query/asked ask: &&attempt.phase==="queued"': 'clones',
  'query/asked ask: this.#pool.cancel(attempt);': 'clones',
  'query/asked drop: drop(){this.cancel(({attempt})=>attempt.phase==="running"&&attempt.worker?.inter': 'clones',
  'query/asked ask: ?[this,coding]': 'groups',
  'query/vote begin: this.#proof="open";return true': 'memory',
  'query/vote get needed: return 0;': 'over',
  'query/vote get #isLookedUp: ??"done"': 'taught',
  'query/vote get needed: &&isSure?1': 'memory',
  'query/vote suspects: ||!trust.isSuspected(worker)||!trust.audits(worker)': 'memory',
  'query/vote suspects: this.#proof="wanted";return true': 'memory',
  'query/vote judge: &&this.#isLookedUp': 'memory',
  'query/vote judge: this.#check(told[0],give)': 'memory',
  'query/vote #prove: ?.given': 'memory',
  'query/vote #prove: this.#recovery.grade(own,void 0);': 'memory',
  'query/vote #prove: learning.experience.confidence.rehearse({...memory,missing:1},own.vector);': 'memory',
  'query/vote #check: #check(asked,give){const{trust,learning}=this.#context;const{memory,confidence=0': 'memory',
  'pool/roster findEjected: this.#ejected.delete(member);this.#ejected.add(member);return member}': 'deep',
  'pool/roster add: this.#ejected.add(member);': 'deep',
  'pool/roster eject: else this.#ejected.delete(member);': 'long',
  'trust/evidence meet: meet(worker,needed){const record=this.#record(worker);record.rightAnswersLeft=Ma': 'open',
  'trust/evidence lose: lose(worker,share){const record=this.#record(worker);record.proven=Math.floor(re': 'open',
  'trust/evidence leave: &&record?.proven': 'open',
  'query/asked settled: ?.missed': 'open',
  'query/asked settled: ?.doubts': 'open',
  'query/asked settled: asked.isVoid=true;': 'open',
  'query/asked blocks: ?.has': 'open',
  'query/asked blocks: &&this.#isTold': 'open',
  'query/asked get available: &&this.#isTold?this.#strangers.others(blocked)': 'open',
  'query/asked void: void(which){const theirs=this.asked.filter(asked=>isLive(asked)&&which(asked));f': 'voted',
  'pool/roster update: this.#resize(member,width);': 'plain',
  'pool/roster #resize: #resize(member,slots){this.utilisation.add(0);this.capacity.count(member,-1);mem': 'plain',
  'pool/roster #stateOf: return GONE;': 'plain',
  'pool/roster #stateOf: :READY': 'long',
  'pool/roster takeFastest: this.update(member)}': 'plain',
  'pool/roster get free: get free(){let free=0;for(const member of this.members.values())if(member.slots.': 'told',
  'pool/roster count: this.mostRows=Math.max(this.mostRows,batching.most);': 'slots',
  'pool/roster : ({member:member2,stamp})=>stamp===member2.stamp': 'many',
  'pool/roster list: this.#entries=new TinyQueue(this.#entries.data.filter(({member:member2,stamp})=>': 'many',
  'query/asked get isTold: get isTold(){const all=[...this.asked.map(({attempt})=>att': 'open',
  'query/asked trim: for(const{attempt}of this.asked.filter(isQueued).slice(-ex': 'shrinks',
  'query/equality floorOf: ??0': 'scales',
  'query/policy atDeadline: &&policy!=="retry"&&atDeadline==="give"': 'memory',
  'query/policy atDeadline: ?"recover"': 'memory',
  'trust/reputation get isAffordable: get isAffordable(){const free=1-this.pool.utilisation;retu': 'audits',
  'pool/roster get nobody: get nobody(){const{size:size}=this.members;const ejected=t': 'told',
  'trust/evidence load: load(state){const{workers,distance:distance}=savedEvidence': 'saved',
  'trust/evidence leave: if(earned){for(const each of this.left)if(this.of(each).pr': 'many',
}

/** A branch as it is called whatever stands beside it in the bundle: without marks of private fields, and numbers of equal names. */
export function plain(branch: string): string {
  const text = branch.replace(/[#_](?=[a-zA-Z])/g, '').replace(/(?<=[a-zA-Z])\d+\b/g, '')
  return text.slice(0, text.indexOf(': ') + 60)
}

const known = new Map(Object.entries(unreached).map(([branch, why]) => [plain(branch), why]))

/** Why a branch is not reached; undefined for one of which that is not known. @param branch  plain */
export function reasonOf(branch: string): string | undefined {
  const why = known.get(branch)
  return why && reasons[why]
}

/** Branches that are said to be out of reach, and are not. @param untaken  those of an exploration of twelve events */
export function reached(untaken: readonly string[]): string[] {
  return [...known].filter(([branch, why]) => why !== 'deep' && !untaken.includes(branch)).map(([branch]) => branch)
}
