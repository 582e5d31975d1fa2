"""Files as banks write them: one credit for an invoice, one of an unknown payer, one debit."""

CAMT = b"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>M1</MsgId></GrpHdr>
<Stmt><Id>2026-325</Id><Acct><Id><Othr><Id>000123456789</Id></Othr></Id><Ccy>CAD</Ccy></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="CAD">1000.00</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="CAD">3392.90</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>
<Ntry><Amt Ccy="CAD">2367.90</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><Dt>2026-11-20</Dt></BookgDt>
<AcctSvcrRef>B-1</AcctSvcrRef><NtryDtls><TxDtls><RltdPties><Dbtr><Pty><Nm>CEDAR UNIVERSITY</Nm></Pty></Dbtr>
<DbtrAcct><Id><Othr><Id>CED-77</Id></Othr></Id></DbtrAcct></RltdPties>
<RmtInf><Ustrd>inv ICC 2026-0007 thank you</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
<Ntry><Amt Ccy="CAD">40.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><Dt>2026-11-20</Dt></BookgDt>
<AcctSvcrRef>B-2</AcctSvcrRef></Ntry>
<Ntry><Amt Ccy="CAD">15.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><Dt>2026-11-21</Dt></BookgDt>
<AcctSvcrRef>B-3</AcctSvcrRef><AddtlNtryInf>Account fee</AddtlNtryInf></Ntry>
<Ntry><Amt Ccy="CAD">9.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>PDNG</Cd></Sts></Ntry>
</Stmt></BkToCstmrStmt></Document>
"""

OFX = b"""OFXHEADER:100
DATA:OFXSGML
VERSION:103
SECURITY:NONE
ENCODING:USASCII
CHARSET:1252
COMPRESSION:NONE
OLDFILEUID:NONE
NEWFILEUID:NONE

<OFX><SIGNONMSGSRSV1><SONRS><STATUS><CODE>0<SEVERITY>INFO</STATUS><DTSERVER>20261122<LANGUAGE>ENG</SONRS></SIGNONMSGSRSV1>
<BANKMSGSRSV1><STMTTRNRS><TRNUID>1<STATUS><CODE>0<SEVERITY>INFO</STATUS><STMTRS><CURDEF>CAD
<BANKACCTFROM><BANKID>00010<ACCTID>000123456789<ACCTTYPE>CHECKING</BANKACCTFROM>
<BANKTRANLIST><DTSTART>20261120<DTEND>20261122
<STMTTRN><TRNTYPE>CREDIT<DTPOSTED>20261120<TRNAMT>2367.90<FITID>B-1<NAME>CEDAR UNIVERSITY<MEMO>ICC-2026-0007</STMTTRN>
<STMTTRN><TRNTYPE>DEBIT<DTPOSTED>20261121<TRNAMT>-15.00<FITID>B-3<NAME>FEE</STMTTRN>
</BANKTRANLIST><LEDGERBAL><BALAMT>3352.90<DTASOF>20261122</LEDGERBAL></STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>
"""

BAI2 = b"""01,BANK,ICC,261122,0800,1,80,1,2/
02,ICC,BANK,1,261121,0800,CAD,2/
03,000123456789,CAD,010,100000,,,015,335290,,/
16,195,236790,Z,B-1,,CEDAR UNIVERSITY ICC-2026-0007/
16,698,1500,Z,B-3,,ACCOUNT FEE/
49,673580,4/
98,673580,1,6/
99,673580,1,8/
"""

CSV = (
    b"Date;Description;Debit;Credit\r\n"
    b"20/11/2026;CEDAR UNIVERSITY ICC-2026-0007;;2 367,90\r\n"
    b"21/11/2026;Account fee;15,00;\r\n"
)
