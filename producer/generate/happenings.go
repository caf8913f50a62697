package generate

// No burst starts while this many steps are planned: bursts on top of bursts
// would drown everything else.
const laterLimit = 100

// begin starts something of the given kind and plans what follows from it: a
// login leads to applications, a recovery mail to a new password, a deploy to
// the same exception over and over.
func (s *schedule) begin(k kind) step {
	switch k {
	case login:
		return s.beginLogin()
	case loginFailed:
		return s.beginLoginFailed()
	case logout:
		return s.by(k, s.find(func(p *person) bool {
			return p.online && p.impersonating == nil && !p.onCall && !p.robot
		}))
	case impersonationStarted:
		return s.beginImpersonation()
	case impersonationEnded:
		if len(s.impersonators) == 0 {
			return s.beginImpersonation()
		}
		return endImpersonation(s.impersonators[0])
	case emailSent:
		return s.beginRecovery()
	case invitationUsed:
		return s.beginEnrolment()
	case systemException:
		return s.beginException()
	case secretRotate, systemTaskException, updateAvailable:
		return step{kind: k, fault: s.fault}
	case configurationError, suspiciousRequest:
		p := s.find(func(p *person) bool { return !p.robot })
		return step{kind: k, who: p, from: p.home, anonymous: true, fault: s.fault}
	case modelCreated, modelUpdated, modelDeleted, secretView:
		return s.by(k, s.find(func(p *person) bool { return p.online && p.admin }))
	default:
		return s.by(k, s.find(func(p *person) bool { return p.online && !p.robot }))
	}
}

// by is a step of someone who is logged in.
func (s *schedule) by(k kind, who *person) step {
	return step{kind: k, who: who, from: who.at, fault: s.fault}
}

func endImpersonation(admin *person) step {
	return step{kind: impersonationEnded, who: admin, from: admin.at, target: admin.impersonating}
}

// somebodyAway is a person, not a service account, who is not logged in.
func (s *schedule) somebodyAway() *person {
	return s.find(func(p *person) bool { return !p.online && !p.robot })
}

func (s *schedule) beginLogin() step {
	// Service accounts keep logging in and never out.
	who := s.find(func(p *person) bool { return !p.online || p.robot })
	st := s.loginOf(who)
	for range s.random.below(3) {
		if who.robot {
			break
		}
		s.follow(step{kind: authorizeApplication, who: who, from: st.from}, 1, 12)
	}
	return st
}

func (s *schedule) loginOf(who *person) step {
	from := who.office
	if s.random.oneIn(3) {
		from = who.home
	}
	return step{kind: login, who: who, from: from}
}

// beginLoginFailed is mostly someone who mistypes the password and then gets
// in; sometimes an attack, on one name or on many.
func (s *schedule) beginLoginFailed() step {
	if s.random.oneIn(4) && len(s.later) < laterLimit {
		return s.beginAttack()
	}
	who := s.somebodyAway()
	again := s.loginOf(who)
	failed := step{kind: loginFailed, who: who, from: again.from, target: who, anonymous: true}
	if s.random.oneIn(3) {
		s.follow(failed, 1, 1)
	}
	s.follow(again, 2, 5)
	return failed
}

func (s *schedule) beginAttack() step {
	from := pick(&s.random, s.org.attackers)
	target := pick(&s.random, s.org.people)
	attempt := step{kind: loginFailed, who: target, from: from, target: target, anonymous: true}
	spraying := s.random.oneIn(2)
	for range s.random.between(4, 20) {
		next := attempt
		if spraying {
			next.who = pick(&s.random, s.org.people)
			next.target = next.who
		}
		s.follow(next, 1, 30)
	}
	return attempt
}

func (s *schedule) beginImpersonation() step {
	admin := s.find(s.mayImpersonate)
	if admin.impersonating != nil { // everyone does: one has to stop first
		return endImpersonation(admin)
	}
	target := s.find(func(p *person) bool { return !p.admin && !p.robot })
	for range s.random.between(1, 3) {
		s.follow(s.by(pick(&s.random, []kind{authorizeApplication, modelUpdated, userWrite}), admin), 1, 8)
	}
	s.follow(step{kind: impersonationEnded, who: admin, from: admin.at, target: target}, 9, 15)
	return step{kind: impersonationStarted, who: admin, from: admin.at, target: target}
}

func (s *schedule) mayImpersonate(p *person) bool {
	return p.admin && p.online && p.impersonating == nil
}

// beginRecovery is a mail to someone who forgot the password and sets a new one.
func (s *schedule) beginRecovery() step {
	who := s.somebodyAway()
	s.follow(step{kind: passwordSet, who: who, from: who.home, anonymous: true}, 2, 12)
	s.follow(step{kind: login, who: who, from: who.home}, 13, 20)
	return step{kind: emailSent, target: who}
}

// beginEnrolment is someone who comes back to the organisation by an invitation.
func (s *schedule) beginEnrolment() step {
	who := s.somebodyAway()
	s.follow(step{kind: userWrite, who: who, from: who.home, anonymous: true}, 1, 3)
	s.follow(step{kind: login, who: who, from: who.home}, 4, 8)
	return step{kind: invitationUsed, who: who, from: who.home, anonymous: true}
}

// beginException is a request that fails, or a deploy after which many do in
// the same way.
func (s *schedule) beginException() step {
	online := func(p *person) bool { return p.online }
	if s.random.oneIn(2) && len(s.later) < laterLimit {
		s.deploys++
		s.fault = newFault(&s.random, s.deploys)
		for range s.random.between(5, 30) {
			s.follow(s.by(systemException, s.find(online)), 1, 60)
		}
	}
	return s.by(systemException, s.find(online))
}
