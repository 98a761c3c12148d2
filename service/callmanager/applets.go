package callmanager

func (s *Service) startApplets() error { return nil }
