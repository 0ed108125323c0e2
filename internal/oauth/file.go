package oauth

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"samsara.internal/gateway/internal/reload"
)

// readSecret returns the text in a file, without the white space around it. The error names the file.
func readSecret(path string) (string, error) {
	content, err := reload.ReadFile(path, maxTokenBytes)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(content))
	return text, checkToken("read "+path, text)
}

// withoutLinks returns the path of a file itself, so that writing replaces the file and not a link to it.
func withoutLinks(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// checkFolder returns why a file could not be replaced.
func checkFolder(path string) error {
	path, err := withoutLinks(path)
	if err != nil {
		return err
	}
	probe, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("the refresh token could not be replaced: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// write replaces the content of a file. When it returns without an error, the content is with the disk.
func write(path, text string) (err error) {
	folder := filepath.Dir(path)
	fresh, err := os.CreateTemp(folder, "."+filepath.Base(path)+".*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(fresh.Name()) // The error is the reason.
		}
	}()
	_, err = fresh.WriteString(text + "\n")
	if err = errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	if err = os.Rename(fresh.Name(), path); err != nil {
		return err
	}
	return syncFolder(folder)
}

// syncFolder makes the names in a folder last.
func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // G304: the operator names the folder
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// lock keeps other processes, and other grants of this one, from a file until unlock is called or the process ends.
func lock(path string) (unlock func() error, err error) {
	file, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // G304: the operator names the folder
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: is in use by another gateway, or by another organization of this one", path), file.Close())
	}
	return file.Close, nil
}
