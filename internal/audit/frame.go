package audit

import (
	"encoding/binary"
	"hash/crc32"
)

// A frame is one row as it lies in a segment of the spill: length, CRC-32C of the rest, K, the packed event.
const (
	frameHead = 16 // length 4, CRC 4, K 8
	maxFrame  = 16 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame writes one row the way it lies in a segment.
func appendFrame(dst []byte, k uint64, data []byte) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(data)))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, k)
	dst = append(dst, data...)
	binary.LittleEndian.PutUint32(dst[start+4:], crc32.Checksum(dst[start+8:], castagnoli))
	return dst
}

type frameState int

const (
	frameWhole frameState = iota
	frameShort            // the bytes end before the frame does
	frameBad
)

func parseFrame(b []byte) (Row, int, frameState) {
	if len(b) < frameHead {
		return Row{}, 0, frameShort
	}
	size := int(binary.LittleEndian.Uint32(b))
	if size < 3 || size > maxFrame {
		return Row{}, 0, frameBad
	}
	end := frameHead + size
	if len(b) < end {
		return Row{}, 0, frameShort
	}
	if crc32.Checksum(b[8:end], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return Row{}, 0, frameBad
	}
	return Row{K: binary.LittleEndian.Uint64(b[8:]), Data: b[frameHead:end:end]}, end, frameWhole
}
