package redisstore

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Format is how the keys of this package are laid out. An usher that lays them out in another way, or has another selector,
// writes its number into meta, and every node that does not know it leaves all of them alone: it would let in whom the other
// has revoked. Where nothing stands there it is the first.
func Format() int { return 1 }

// asFormat is the refusal of a format that is not ours, where the error is one of the scripts; any other error stays.
func (s *Store) asFormat(err error) error {
	if err == nil {
		return nil
	}
	if format, other := strings.CutPrefix(err.Error(), "FORMAT "); other {
		return s.refuse(format)
	}
	return err
}

// checkFormat is for what is read without a script: field is "format" of meta, as HMGET gives it.
func (s *Store) checkFormat(field *redis.SliceCmd) error {
	said, err := field.Result()
	if err != nil {
		return err
	}
	if format, there := said[0].(string); there && format != strconv.Itoa(Format()) {
		return s.refuse(format)
	}
	return nil
}

func (s *Store) refuse(format string) error {
	return fmt.Errorf("the revocations below %s in Redis are in format %q of a newer usher, and this one knows %d: run that version here too", s.client.Prefix, format, Format())
}
