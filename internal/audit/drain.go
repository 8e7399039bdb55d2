package audit

import (
	"errors"
	"fmt"
	"time"
)

// drain empties the queue into the spill: at once while there is much, and after a short wait for company otherwise.
func (p *Pipeline) drain() {
	defer close(p.ended)
	d := drainer{p: p}
	timer := time.NewTimer(gather)
	defer timer.Stop()
	for {
		busy := d.empty()
		if !busy && !p.ring.sleep() {
			continue
		}
		var linger <-chan time.Time
		if busy {
			timer.Reset(gather)
			linger = timer.C
		}
		select {
		case <-linger:
		case <-p.ring.wake:
			if !busy { // the first after a rest: others are on their way
				p.rest(timer)
			}
		case reply := <-p.flush:
			d.empty()
			reply <- p.written.Load()
		case <-p.stop:
			d.empty()
			d.said = time.Time{}
			d.tell()
			return
		}
	}
}

func (p *Pipeline) rest(timer *time.Timer) {
	if p.hurry.Load() > 0 {
		return
	}
	timer.Reset(gather)
	select {
	case <-timer.C:
	case <-p.ring.wake: // a term is full
	case <-p.stop:
	}
}

// drainer is the reading end of the queue.
type drainer struct {
	p       *Pipeline
	frames  []byte
	scratch []byte
	first   uint64 // K of the first frame
	rows    int
	told    int64 // of those that were shed
	cause   error
	said    time.Time
}

// empty brings all that is in the queue to the spill and says whether there was anything.
func (d *drainer) empty() bool {
	var any bool
	for {
		data, ok := d.p.ring.next()
		if !ok {
			break
		}
		any = true
		d.take(data)
		if len(d.frames) >= drainBytes {
			d.write()
		}
	}
	d.write()
	return any
}

func (d *drainer) take(data []byte) {
	p := d.p
	h, _, err := split(data)
	if err != nil {
		return // our own packing, checked by its tests
	}
	if p.opt.Pseudonyms != nil {
		if e, err := Unpack(data); err == nil {
			p.opt.Pseudonyms.apply(&e)
			d.scratch = Pack(d.scratch[:0], &e)
			data = d.scratch
		}
	}
	// The clock may have been set back; K never goes back.
	p.last = max(p.last+1, firstK(h.ms))
	if d.rows == 0 {
		d.first = p.last
	}
	d.frames = appendFrame(d.frames, p.last, data)
	d.rows++
	if p.opt.Sink != nil {
		p.opt.Sink.offer(data)
	}
}

func (d *drainer) write() {
	if d.rows == 0 {
		return
	}
	p := d.p
	p.waiting.CompareAndSwap(0, d.first) // also where the store was never reached, and nothing is carried there yet
	if err := p.spill.append(d.frames, d.first); err != nil {
		p.shed.Add(int64(d.rows))
		d.cause = err
	} else {
		p.recorded.Add(int64(d.rows))
		p.written.Store(p.last)
	}
	d.tell()
	d.frames, d.rows = d.frames[:0], 0
	if cap(d.frames) > 4*drainBytes {
		d.frames = nil
	}
}

// errQueueFull is why Record itself sheds.
var errQueueFull = errors.New("the queue in memory was full")

// tell writes about shed events once a minute, with their number.
func (d *drainer) tell() {
	dropped := d.p.shed.Load() - d.told
	if dropped == 0 {
		return
	}
	now := d.p.opt.Now()
	if now.Sub(d.said) < time.Minute {
		return
	}
	what, cause := "mend the disk of data_dir", d.cause
	switch {
	case errors.Is(cause, errSpillFull):
		what = "raise audit.spill_max, or mend the audit store"
	case cause == nil:
		cause = errQueueFull
	}
	d.p.opt.Logger.Error(fmt.Sprintf("%d audit events were shed: %v; %s", dropped, cause, what))
	d.told, d.cause, d.said = d.told+dropped, nil, now
}

// syncer brings the spill to the disk every syncEvery while something is written.
func (p *Pipeline) syncer() {
	var failing bool
	for {
		grown := p.spill.growth()
		if err := p.spill.sync(); err != nil && !failing {
			failing = true
			p.opt.Logger.Error(err.Error() + ": a power cut would lose the newest audit events; mend the disk of data_dir")
		} else if err == nil {
			failing = false
		}
		select {
		case <-grown:
		case <-p.ended:
			return
		}
		select {
		case <-time.After(syncEvery):
		case <-p.ended:
			return
		}
	}
}
