package standalone

import (
	"path/filepath"
	"strings"
	"testing"

	"sluice/schemas"
)

func TestLockDirIsForOne(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	unlock, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDir(dir); err == nil || !strings.Contains(err.Error(), "in use by another standalone") {
		t.Errorf("second lock: got %v", err)
	}
	unlock()
	unlock, err = lockDir(dir)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	unlock()
}

func TestFitStreams(t *testing.T) {
	t.Parallel()
	var total int64
	streams := int64(len(schemas.Streams()))
	for _, s := range schemas.Streams() {
		total += s.MaxBytes
	}
	tests := []struct {
		free int64
		want int64 // 0: as they are
	}{
		{free: 2 * total, want: 0},
		{free: 2*total - 1, want: total},
		{free: total / 5, want: total / 10},
		{free: 0, want: streams * minStreamBytes},
	}
	for _, tt := range tests {
		var got int64
		for _, s := range fitStreams(schemas.Streams(), tt.free) {
			got += s.MaxBytes
		}
		if got > tt.want || got < tt.want-streams {
			t.Errorf("%d bytes free: the streams take %d, want %d", tt.free, got, tt.want)
		}
	}
}
