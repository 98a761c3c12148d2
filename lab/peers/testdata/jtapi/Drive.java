import com.cisco.jtapi.extensions.*;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import javax.telephony.*;
import javax.telephony.callcenter.*;
import javax.telephony.callcenter.events.*;
import javax.telephony.callcontrol.*;
import javax.telephony.callcontrol.events.*;
import javax.telephony.events.*;
import javax.telephony.media.MediaTerminalConnection;

/**
 * An application on Cisco's JTAPI client, by its public interface alone: it does what a line of standard input says and tells on
 * standard output how it went, "did COMMAND ..." or "failed COMMAND: why". What its observers hear comes as "event ...", one line each,
 * in the order heard.
 *
 * A connection is named by its terminal: the command means the terminal's connection that is in the state the command is for.
 */
public class Drive implements ProviderObserver, CallControlCallObserver, CiscoTerminalObserver, CiscoAddressObserver, CallControlAddressObserver, RouteCallback {
    private Provider provider;
    private volatile String route = "none"; // what becomes of calls at a route point: "end", "none", or numbers to select

    public static void main(String[] a) throws Exception {
        new Drive().read(new BufferedReader(new InputStreamReader(System.in)));
        System.exit(0);
    }

    private void read(BufferedReader in) throws Exception {
        tell("ready");
        for (String line; (line = in.readLine()) != null; ) {
            String[] w = line.trim().split(" +");
            try {
                tell("did " + w[0] + " " + run(w));
            } catch (Throwable t) {
                tell("failed " + w[0] + ": " + t + (t instanceof CiscoJtapiException ? " " + ((CiscoJtapiException) t).getErrorName() : ""));
            }
        }
    }

    private static synchronized void tell(String s) {
        System.out.println(s);
        System.out.flush();
    }

    private String run(String[] w) throws Exception {
        switch (w[0]) {
        case "enrol": return enrol(w);
        case "lists": return lists(w);
        case "open": return open(w[1]);
        case "close": provider.shutdown(); return "";
        case "terminals": return terminals();
        case "observe": return observe(w);
        case "state": return state();
        case "call": return connect(w[1], w[2], w[3]);
        case "answer": tc(w[1], CallControlTerminalConnection.RINGING).answer(); return "";
        case "accept": control(w[1]).accept(); return "";
        case "reject": control(w[1]).reject(); return "";
        case "hold": tc(w[1], CallControlTerminalConnection.TALKING).hold(); return "";
        case "unhold": tc(w[1], CallControlTerminalConnection.HELD).unhold(); return "";
        case "drop": any(w[1]).getConnection().disconnect(); return "";
        case "dropcall": ((CallControlCall) any(w[1]).getConnection().getCall()).drop(); return "";
        case "dropparty": return dropParty(w[1], w[2]);
        case "redirect": return String.valueOf(control(w[1]).redirect(w[2]));
        case "redirectas": return redirectAs(w);
        case "blind": return String.valueOf(((CallControlCall) tc(w[1], CallControlTerminalConnection.TALKING).getConnection().getCall()).transfer(w[2]));
        case "consult": return consult(w);
        case "transfer": return transfer(w[1]);
        case "conference": return conference(w[1]);
        case "park": return ((CiscoConnection) tc(w[1], CallControlTerminalConnection.TALKING).getConnection()).park();
        case "parkat": return String.valueOf(control(w[1]).park(w[2]));
        case "unpark": return unpark(w);
        case "pickup": return pickup(w);
        case "directed": return pickedUp(terminal(w[1]).directedPickup(address(w[2]), w[3]));
        case "pickupalert": ((CiscoProvider) provider).registerPickupAlert(w[1], w.length > 2 ? w[2] : ""); return "";
        case "nopickupalert": ((CiscoProvider) provider).unregisterPickupAlert(w[1], w.length > 2 ? w[2] : ""); return "";
        case "join": tc(w[1], CallControlTerminalConnection.BRIDGED).join(); return "";
        case "dtmf": ((MediaTerminalConnection) tc(w[1], CallControlTerminalConnection.TALKING)).generateDtmf(w[2]); return "";
        case "forward": line(w[1]).setForwarding(new CallControlForwarding[] {new CallControlForwarding(w[2])}); return "";
        case "forwarding": return forwarding(w[1]);
        case "unforward": line(w[1]).cancelForwarding(); return "";
        case "waiting": line(w[1]).setMessageWaiting(w[2].equals("on")); return "";
        case "summary": ((CiscoAddress) address(w[1])).setMessageSummary(true, true, Integer.parseInt(w[2]), 0, false, 0, 0, false, 0, 0, false, 0, 0); return "";
        case "dnd": terminal(w[1]).setDNDStatus(w[2].equals("on")); return "";
        case "dndoption": return String.valueOf(terminal(w[1]).getDNDOption());
        case "ringer": ((CiscoAddress) address(w[1])).setRingerStatus(Integer.parseInt(w[2])); return "";
        case "data": return terminal(w[1]).sendData(w[2]);
        case "huntlog": terminal(w[1]).setHuntLogStatus(Integer.parseInt(w[2])); return "";
        case "snapshot": terminal(w[1]).createSnapshot(); return "";
        case "monitor": return monitor(w);
        case "record": ((CiscoTerminalConnection) tc(w[1], CallControlTerminalConnection.TALKING)).startRecording(0); return "";
        case "register": return register(w);
        case "unregister": ((CiscoMediaTerminal) terminal(w[1])).unregister(); return "";
        case "registerroute": return registerRoute(w[1]);
        case "unregisterroute": return unregisterRoute(w[1]);
        case "route": route = w[1]; return "";
        }
        throw new IllegalArgumentException("there is no command " + w[0]);
    }

    private CiscoJtapiProperties properties() throws Exception {
        return ((CiscoJtapiPeer) JtapiPeerFactory.getJtapiPeer(null)).getJtapiProperties();
    }

    // lists "" HOST TFTPPORT CAPFPORT USER INSTANCE FOLDER PASSPHRASE: the trust list alone.
    private String lists(String[] w) throws Exception {
        properties().updateServerCertificate(w[5], w[6], w[2], w[3], w[2], w[4], w[7], w[8]);
        return "";
    }

    // enrol STRING HOST TFTPPORT CAPFPORT USER INSTANCE FOLDER PASSPHRASE: trust list and certificate. The client prints what goes wrong
    // here and throws nothing.
    private String enrol(String[] w) throws Exception {
        CiscoJtapiProperties p = properties();
        p.setSecurityPropertyForInstance(w[5], w[6], w[1], w[2], w[3], w[2], w[4], w[7], true, w[8]);
        return "updated=" + p.IsCertificateUpdated(w[5], w[6]);
    }

    private String open(String how) throws Exception {
        provider = JtapiPeerFactory.getJtapiPeer(null).getProvider(how);
        provider.addObserver(this);
        for (int i = 0; i < 400 && provider.getState() != Provider.IN_SERVICE; i++) Thread.sleep(50);
        return "state=" + (provider.getState() == Provider.IN_SERVICE ? "in-service" : "" + provider.getState());
    }

    private String terminals() throws Exception {
        List<String> out = new ArrayList<>();
        Terminal[] all = provider.getTerminals();
        if (all != null) for (Terminal t : all) {
            StringBuilder s = new StringBuilder(t.getName());
            Address[] lines = t.getAddresses();
            if (lines != null) for (Address l : lines) s.append(":").append(l.getName()).append("@").append(((CiscoAddress) l).getPartition());
            out.add(s.toString());
        }
        return String.join(" ", out);
    }

    // observe TERMINAL...: the terminal with its lines, calls on them included.
    private String observe(String[] w) throws Exception {
        for (String name : Arrays.copyOfRange(w, 1, w.length)) {
            CiscoTerminal t = terminal(name);
            CiscoTermEvFilter f = t.getFilter();
            f.setRTPEventsEnabled(true);
            f.setRTPKeyEventsEnabled(true);
            f.setSnapshotEnabled(true);
            f.setDeviceDataEnabled(true);
            f.setDNDChangedEvFilter(true);
            f.setHuntLogStatusChangedEvFilter(true);
            f.setDeviceStateActiveEvFilter(true);
            f.setDeviceStateAlertingEvFilter(true);
            f.setDeviceStateHeldEvFilter(true);
            f.setDeviceStateIdleEvFilter(true);
            t.setFilter(f);
            t.addObserver(this);
            for (Address l : t.getAddresses()) {
                l.addObserver(this);
                l.addCallObserver(this);
            }
        }
        return "";
    }

    private CiscoTerminal terminal(String name) throws Exception { return (CiscoTerminal) provider.getTerminal(name); }

    private Address address(String name) throws Exception { return provider.getAddress(name); }

    private CallControlAddress line(String name) throws Exception { return (CallControlAddress) address(name); }

    private static int state(TerminalConnection c) { return ((CallControlTerminalConnection) c).getCallControlState(); }

    private CallControlTerminalConnection tc(String terminal, int state) throws Exception {
        TerminalConnection[] all = terminal(terminal).getTerminalConnections();
        if (all != null) for (TerminalConnection c : all) if (state(c) == state) return (CallControlTerminalConnection) c;
        throw new IllegalStateException(terminal + " has no connection in state " + state + ": " + state());
    }

    // any is the one connection of a terminal that counts: talking, else ringing, else held.
    private TerminalConnection any(String terminal) throws Exception {
        for (int s : new int[] {CallControlTerminalConnection.TALKING, CallControlTerminalConnection.RINGING, CallControlTerminalConnection.HELD,
            CallControlTerminalConnection.BRIDGED, CallControlTerminalConnection.UNKNOWN}) {
            TerminalConnection[] all = terminal(terminal).getTerminalConnections();
            if (all != null) for (TerminalConnection c : all) if (state(c) == s) return c;
        }
        throw new IllegalStateException(terminal + " has no call: " + state());
    }

    // control is the connection of a terminal's line that is offered, alerting or talking.
    private CallControlConnection control(String terminal) throws Exception {
        for (Address l : terminal(terminal).getAddresses()) {
            Connection[] all = l.getConnections();
            if (all != null) for (Connection c : all) {
                int s = ((CallControlConnection) c).getCallControlState();
                if (s != CallControlConnection.DISCONNECTED && s != CallControlConnection.IDLE && s != CallControlConnection.UNKNOWN) return (CallControlConnection) c;
            }
        }
        throw new IllegalStateException(terminal + " has no connection: " + state());
    }

    private String connect(String terminal, String address, String to) throws Exception {
        CiscoCall c = (CiscoCall) provider.createCall();
        c.connect(terminal(terminal), address(address), to);
        return id(c);
    }

    private static String id(Call c) {
        CiscoCallID i = ((CiscoCall) c).getCallID();
        return i == null ? "none" : String.valueOf(i.getGlobalCallID());
    }

    private String dropParty(String terminal, String number) throws Exception {
        for (Connection c : any(terminal).getConnection().getCall().getConnections())
            if (c.getAddress().getName().equals(number)) {
                c.disconnect();
                return number;
            }
        throw new IllegalStateException("nobody in the call has the number " + number + ": " + state());
    }

    // redirectas TERMINAL TO PREFERRED FAC CMC
    private String redirectAs(String[] w) throws Exception {
        Connection c = ((CiscoConnection) control(w[1])).redirect(w[2], CiscoConnection.REDIRECT_NORMAL, CiscoConnection.ADDRESS_SEARCH_SPACE,
            CiscoConnection.CALLED_ADDRESS_SET_TO_PREFERREDCALLEDPARTY, w[3], w.length > 4 ? w[4] : "", w.length > 5 ? w[5] : "");
        return c == null ? "" : c.getAddress().getName();
    }

    // consult TERMINAL TO transfer|conference
    private String consult(String[] w) throws Exception {
        CallControlCall c = (CallControlCall) provider.createCall();
        if (w[3].equals("conference")) c.setConferenceEnable(true);
        else c.setTransferEnable(true);
        c.consult(tc(w[1], CallControlTerminalConnection.TALKING), w[2]);
        return id(c);
    }

    private String transfer(String terminal) throws Exception {
        Call held = tc(terminal, CallControlTerminalConnection.HELD).getConnection().getCall();
        CallControlTerminalConnection talking = tc(terminal, CallControlTerminalConnection.TALKING);
        ((CallControlCall) held).transfer(talking.getConnection().getCall());
        return id(held);
    }

    private String conference(String terminal) throws Exception {
        Call held = tc(terminal, CallControlTerminalConnection.HELD).getConnection().getCall();
        CallControlTerminalConnection talking = tc(terminal, CallControlTerminalConnection.TALKING);
        ((CallControlCall) held).conference(talking.getConnection().getCall());
        return id(held);
    }

    // unpark TERMINAL ADDRESS SLOT
    private String unpark(String[] w) throws Exception {
        TerminalConnection c = terminal(w[1]).unPark(address(w[2]), w[3]);
        return c == null ? "" : id(c.getConnection().getCall());
    }

    // pickup TERMINAL ADDRESS [GROUP]: the client returns no call where the phone answers by itself
    private String pickup(String[] w) throws Exception {
        return pickedUp(w.length > 3 ? terminal(w[1]).groupPickup(address(w[2]), w[3]) : terminal(w[1]).pickup(address(w[2])));
    }

    private static String pickedUp(Call c) { return c == null ? "null" : id(c); }

    private String forwarding(String number) throws Exception {
        CallControlForwarding[] all = line(number).getForwarding();
        if (all == null || all.length == 0) return "none";
        return all[0].getDestinationAddress();
    }

    // monitor SUPERVISOR ADDRESS AGENT
    private String monitor(String[] w) throws Exception {
        CiscoCall c = (CiscoCall) provider.createCall();
        CallControlTerminalConnection target = tc(w[3], CallControlTerminalConnection.TALKING);
        c.startMonitor(terminal(w[1]), address(w[2]), target, CiscoCall.SILENT_MONITOR, CiscoCall.PLAYTONE_BOTHLOCALANDREMOTE);
        return id(c);
    }

    // register TERMINAL IP PORT [SRTP algorithm...]
    private String register(String[] w) throws Exception {
        CiscoMediaTerminal t = (CiscoMediaTerminal) terminal(w[1]);
        CiscoMediaCapability[] caps = {CiscoMediaCapability.G711_64K_30_MILLISECONDS};
        int port = Integer.parseInt(w[3]);
        if (w.length == 4) {
            t.register(InetAddress.getByName(w[2]), port, caps);
        } else {
            t.register(InetAddress.getByName(w[2]), port, caps, Arrays.stream(Arrays.copyOfRange(w, 4, w.length)).mapToInt(Integer::parseInt).toArray());
        }
        return "";
    }

    private String registerRoute(String terminal) throws Exception {
        CiscoRouteTerminal t = (CiscoRouteTerminal) terminal(terminal);
        t.register(null, CiscoRouteTerminal.NO_MEDIA_REGISTRATION);
        for (Address l : t.getAddresses()) ((RouteAddress) l).registerRouteCallback(this);
        return "";
    }

    private String unregisterRoute(String terminal) throws Exception {
        CiscoRouteTerminal t = (CiscoRouteTerminal) terminal(terminal);
        for (Address l : t.getAddresses()) ((RouteAddress) l).cancelRouteCallback(this);
        t.unregister();
        return "";
    }

    private String state() throws Exception {
        StringBuilder s = new StringBuilder();
        Call[] calls = provider.getCalls();
        if (calls != null) for (Call c : calls) {
            s.append(" [").append(id(c));
            Connection[] conns = c.getConnections();
            if (conns != null) for (Connection n : conns) {
                s.append(" ").append(n.getAddress().getName()).append("=").append(((CallControlConnection) n).getCallControlState());
                TerminalConnection[] tcs = n.getTerminalConnections();
                if (tcs != null) for (TerminalConnection t : tcs) s.append("/").append(t.getTerminal().getName()).append("=").append(state(t));
            }
            s.append("]");
        }
        return s.toString().trim();
    }

    // --- what is heard

    private void heard(Ev e) {
        StringBuilder s = new StringBuilder("event ").append(e.getClass().getSimpleName().replaceAll("Impl$", ""));
        if (e instanceof CallEv) s.append(" call=").append(id(((CallEv) e).getCall()));
        if (e instanceof ConnEv) s.append(" line=").append(((ConnEv) e).getConnection().getAddress().getName());
        if (e instanceof TermConnEv) {
            s.append(" line=").append(((TermConnEv) e).getTerminalConnection().getConnection().getAddress().getName());
            s.append(" terminal=").append(((TermConnEv) e).getTerminalConnection().getTerminal().getName());
        }
        if (e instanceof TermEv) s.append(" terminal=").append(((TermEv) e).getTerminal().getName());
        if (e instanceof AddrEv) s.append(" line=").append(((AddrEv) e).getAddress().getName());
        if (e instanceof CiscoCallChangedEv) {
            CiscoCallChangedEv c = (CiscoCallChangedEv) e;
            s.append(" surviving=").append(id(c.getSurvivingCall())).append(" original=").append(id(c.getOriginalCall()));
        }
        if (e instanceof CiscoTermCreatedEv) s.append(" terminal=").append(((CiscoTermCreatedEv) e).getTerminal().getName());
        if (e instanceof CiscoTermRemovedEv) s.append(" terminal=").append(((CiscoTermRemovedEv) e).getTerminal().getName());
        if (e instanceof CiscoProvPickupCallAlertEv) s.append(" group=").append(((CiscoProvPickupCallAlertEv) e).getPickupGroup().getPickupGroupDN());
        if (e instanceof CiscoAddrParkStatusEv) s.append(" park=").append(((CiscoAddrParkStatusEv) e).getParkState());
        if (e instanceof CiscoRTPInputKeyEv) s.append(" key=").append(((CiscoRTPInputKeyEv) e).getCiscoMediaEncryptionKeyInfo() != null);
        if (e instanceof CiscoRTPOutputKeyEv) s.append(" key=").append(((CiscoRTPOutputKeyEv) e).getCiscoMediaEncryptionKeyInfo() != null);
        if (e instanceof CiscoRTPOutputStartedEv) {
            CiscoRTPOutputProperties p = ((CiscoRTPOutputStartedEv) e).getRTPOutputProperties();
            s.append(" to=").append(p.getRemoteAddress().getHostAddress()).append(":").append(p.getRemotePort());
        }
        if (e instanceof CiscoCallEv) s.append(" reason=").append(((CiscoCallEv) e).getCiscoFeatureReason());
        s.append(" cause=").append(e.getCause());
        tell(s.toString());
    }

    private void heard(Ev[] all) { for (Ev e : all) heard(e); }

    public void providerChangedEvent(ProvEv[] all) { heard(all); }
    public void callChangedEvent(CallEv[] all) { heard(all); }
    public void terminalChangedEvent(TermEv[] all) { heard(all); }
    public void addressChangedEvent(AddrEv[] all) { heard(all); }

    // --- route points

    public void routeEvent(RouteEvent e) {
        tell("event RouteEvent line=" + e.getCurrentRouteAddress().getName() + " calling=" + (e.getCallingAddress() == null ? "" : e.getCallingAddress().getName()));
        String what = route;
        if (what.equals("none")) return;
        new Thread(() -> {
            try {
                if (what.equals("end")) e.getRouteSession().endRoute(RouteSession.ERROR_UNKNOWN);
                else e.getRouteSession().selectRoute(what.split(","));
            } catch (Throwable t) {
                tell("event RouteFailed " + t);
            }
        }).start();
    }

    public void routeUsedEvent(RouteUsedEvent e) { tell("event RouteUsedEvent"); }
    public void routeEndEvent(RouteEndEvent e) { tell("event RouteEndEvent"); }
    public void reRouteEvent(ReRouteEvent e) { tell("event ReRouteEvent"); }
    public void routeCallbackEndedEvent(RouteCallbackEndedEvent e) { tell("event RouteCallbackEndedEvent"); }
}
